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

function colorOf(env: Readonly<Record<string, string | undefined>>): boolean | null {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== "") return false;
  if (env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== "") return env.FORCE_COLOR !== "0";
  return env.TERM === "dumb" ? false : null;
}

/** npm says so to what it starts, by `npx` or as a script of a project; a command installed for everybody is not told. */
function calledBy(env: Readonly<Record<string, string | undefined>>): string {
  return ["exec", "run-script", "start"].includes(env.npm_command ?? "") ? "npx towpath" : "towpath";
}

/** Reads the environment. The only place that does. */
export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): CliConfig {
  const set = (name: string) => (env[name] === "" ? undefined : env[name]);
  return {
    url: set("TOWPATH_URL"),
    key: set("TOWPATH_KEY"),
    signingKeyFile: set("TOWPATH_SIGNING_KEY_FILE"),
    userConfigFile: join(set("XDG_CONFIG_HOME") ?? join(homedir(), ".config"), "towpath", "config.json"),
    color: colorOf(env),
    called: calledBy(env),
    environment: env,
  };
}
