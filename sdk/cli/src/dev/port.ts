import { createServer } from "node:net";
import { Failure } from "../failure.ts";

/** The default port. */
export const DEFAULT_PORT = 4200;
/** How many ports are tried. */
const PORTS_TRIED = 50;

/** Whether a port of this machine is free. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** The failure if the requested port is in use. */
export function portTaken(port: number, cause?: unknown): Failure {
  return new Failure(`Port ${port} is in use by another program.`, {
    exit: "configuration",
    code: "port-taken",
    next: ["choose another with --port N, or leave out --port to use the next free one"],
    cause,
  });
}

/**
 * The port for the control plane: the requested one, else the first free one from 4200 on.
 * @param after A port that another program took while we were starting. The search continues after it.
 * @throws Failure if the requested port is in use.
 */
export async function choosePort(asked: number | undefined, after = DEFAULT_PORT - 1): Promise<number> {
  if (asked !== undefined) {
    if (await isFree(asked)) return asked;
    throw portTaken(asked);
  }
  for (let port = after + 1; port < DEFAULT_PORT + PORTS_TRIED; port++) if (await isFree(port)) return port;
  throw new Failure(`All ports from ${DEFAULT_PORT} to ${DEFAULT_PORT + PORTS_TRIED - 1} are in use.`, {
    exit: "configuration",
    code: "port-taken",
    next: ["choose another one with --port N"],
  });
}
