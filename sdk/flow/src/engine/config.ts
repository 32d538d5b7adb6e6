import { GATEWAY_ENV, type GatewayAddress, secretVariable } from "@towpath/contract/words";

/** The variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The gateway that the environment names; null without a worker. */
export function gatewayFromEnv(env: Environment = process.env): GatewayAddress | null {
  const socket = env[GATEWAY_ENV.socket];
  const tokenFile = env[GATEWAY_ENV.tokenFile];
  const newestLineFile = env[GATEWAY_ENV.newestLineFile];
  return socket && tokenFile ? { socket, tokenFile, newestLineFile } : null;
}

/** A secret's value from the environment, or null. */
export function secretFromEnv(name: string, env: Environment = process.env): string | null {
  return env[secretVariable(name)] ?? null;
}

/** Whether to print colour: only on a terminal, and not if NO_COLOR (no-color.org) is set. */
export function wantsColour(stream: { isTTY?: boolean }, env: Environment = process.env): boolean {
  return stream.isTTY === true && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
}

/** The environment that a command inherits. */
export function commandEnv(env: Environment = process.env): Environment {
  return env;
}
