import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** The CLI's settings from its environment. */
export interface CliConfig {
  readonly url: string | undefined;
  readonly key: string | undefined;
  /** The profile to use, from TOWPATH_PROFILE. */
  readonly profile: string | undefined;
  /** Workspace keys, from TOWPATH_WORKSPACE_KEY: the first one seals. */
  readonly workspaceKeys: readonly string[];
  /** Addresses to which a sign-in link may lead besides the control plane's, from TOWPATH_DASHBOARD_URL. */
  readonly dashboards: readonly string[];
  /** Path of a signing key to use instead of the state folder's. */
  readonly signingKeyFile: string | undefined;
  /** `~/.config/towpath/config.json`, or `towpath/config.json` in `XDG_CONFIG_HOME`. */
  readonly userConfigFile: string;
  /** Whether to print colour, by NO_COLOR and FORCE_COLOR. Null: only on a terminal. */
  readonly color: boolean | null;
  /** How users call the CLI here: `npx towpath` if only a project has it installed. */
  readonly called: string;
  /** The whole environment, for child processes. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The variables that every command reads, and their meaning. The reference page is generated from this. */
export const VARIABLES = {
  TOWPATH_URL:
    "The control plane's address. Default: the address in the nearest `.towpath/`, then that of the profile in use.",
  TOWPATH_KEY:
    "The API key. It is sent only to an address from `--url`, `TOWPATH_URL` or a profile, never to an address from a `.towpath/` folder. Default: the key stored next to the address.",
  TOWPATH_PROFILE:
    "The profile to use: an address and a key that `towpath login` stored. `--profile` overrides it. Refused together with `TOWPATH_URL`.",
  TOWPATH_WORKSPACE_KEY:
    "The keys of a sealed workspace, separated by spaces or commas. The first one seals, all of them open. They are never sent. Default: the keys of the profile in use.",
  TOWPATH_DASHBOARD_URL:
    "The dashboard's address, if browsers reach it at another host than the CLI: https, or http on this machine. Several are separated by spaces or commas. `towpath open` prints no link to any other host.",
  TOWPATH_SIGNING_KEY_FILE:
    "File with the private key that signs deployments, a JWK. Default: the key in the state folder.",
  XDG_CONFIG_HOME:
    "Folder of `towpath/config.json`, where `towpath login` keeps profiles. Default: `~/.config`.",
  TOWPATH_PYTHON:
    "The Python that imports and runs the flows of a project without a `.venv` or `venv`, and of workers whose configuration names none. Default: `python3` of the `PATH`. The command that pip installs sets it to the Python that it is installed in.",
  NO_COLOR: "Any value turns colour off.",
  FORCE_COLOR: "Any value but `0` turns colour on, also if the output is not a terminal.",
} as const;

function colorOf(set: (name: keyof typeof VARIABLES) => string | undefined, term: string | undefined) {
  if (set("NO_COLOR") !== undefined) return false;
  const forced = set("FORCE_COLOR");
  if (forced !== undefined) return forced !== "0";
  return term === "dumb" ? false : null;
}

/** npm sets this variable for commands that it starts with `npx` or as a project's script. */
function calledBy(env: Readonly<Record<string, string | undefined>>): string {
  return ["exec", "run-script", "start"].includes(env.npm_command ?? "") ? "npx towpath" : "towpath";
}

/** The path of the Python of projects without an environment of their own, from TOWPATH_PYTHON. */
export function givenPython(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  return env.TOWPATH_PYTHON ? resolve(env.TOWPATH_PYTHON) : undefined;
}

/** The parts of a list that are separated by spaces or commas. */
function listOf(text: string | undefined): string[] {
  return (text ?? "").split(/[\s,]+/).filter((one) => one !== "");
}

/** Reads the environment. The only place that does, with `givenPython`. */
export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): CliConfig {
  const set = (name: keyof typeof VARIABLES) => (env[name] === "" ? undefined : env[name]);
  return {
    url: set("TOWPATH_URL"),
    key: set("TOWPATH_KEY"),
    profile: set("TOWPATH_PROFILE"),
    workspaceKeys: listOf(set("TOWPATH_WORKSPACE_KEY")),
    dashboards: listOf(set("TOWPATH_DASHBOARD_URL")),
    signingKeyFile: set("TOWPATH_SIGNING_KEY_FILE"),
    userConfigFile: join(set("XDG_CONFIG_HOME") ?? join(homedir(), ".config"), "towpath", "config.json"),
    color: colorOf(set, env.TERM),
    called: calledBy(env),
    environment: env,
  };
}
