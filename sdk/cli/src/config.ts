import { homedir } from "node:os";
import { join } from "node:path";

/** What the CLI takes from its surroundings. */
export interface CliConfig {
  readonly url: string | undefined;
  readonly key: string | undefined;
  /** Path of a signing key that stands in for the state folder's. */
  readonly signingKeyFile: string | undefined;
  /** `~/.config/towpath/config.json`, or the same under `XDG_CONFIG_HOME`. */
  readonly userConfigFile: string;
  /** Colour by the conventions of NO_COLOR and FORCE_COLOR; null: by whether the output is a terminal. */
  readonly color: boolean | null;
  /** How people call us here: with npm's help where only a project has us installed. */
  readonly called: string;
  /** The whole environment, to be handed on to child processes. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The variables that every command heeds, with their meaning; the reference's page is made of it. */
export const VARIABLES = {
  TOWPATH_URL:
    "The control plane's address. Unset: the one of the nearest `.towpath/`, then of the user's `config.json`.",
  TOWPATH_KEY:
    "The API key. It goes only to an address of `--url`, `TOWPATH_URL` or the user's `config.json`, never to one that a `.towpath/` folder names. Unset: the key that is kept beside the address.",
  TOWPATH_SIGNING_KEY_FILE: "The private key that signs deployments, as a JWK. Unset: the state folder's.",
  XDG_CONFIG_HOME:
    "Folder of `towpath/config.json`, in which a user may keep `url` and `key`. Unset: `~/.config`.",
  NO_COLOR: "Anything: prints without colour.",
  FORCE_COLOR: "Anything but `0`: prints with colour, where the output is no terminal too.",
} as const;

function colorOf(set: (name: keyof typeof VARIABLES) => string | undefined, term: string | undefined) {
  if (set("NO_COLOR") !== undefined) return false;
  const forced = set("FORCE_COLOR");
  if (forced !== undefined) return forced !== "0";
  return term === "dumb" ? false : null;
}

/** npm says so to what it starts, by `npx` or as a script of a project; a command installed for everybody is not told. */
function calledBy(env: Readonly<Record<string, string | undefined>>): string {
  return ["exec", "run-script", "start"].includes(env.npm_command ?? "") ? "npx towpath" : "towpath";
}

/** Reads the environment. The only place that does. */
export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): CliConfig {
  const set = (name: keyof typeof VARIABLES) => (env[name] === "" ? undefined : env[name]);
  return {
    url: set("TOWPATH_URL"),
    key: set("TOWPATH_KEY"),
    signingKeyFile: set("TOWPATH_SIGNING_KEY_FILE"),
    userConfigFile: join(set("XDG_CONFIG_HOME") ?? join(homedir(), ".config"), "towpath", "config.json"),
    color: colorOf(set, env.TERM),
    called: calledBy(env),
    environment: env,
  };
}
