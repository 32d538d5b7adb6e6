import { createServer } from "node:net";
import { Failure } from "../failure.ts";

/** The port that is taken when none is asked for and it is free. */
export const DEFAULT_PORT = 4200;
/** How many ports after it are tried. */
const PORTS_TRIED = 50;

/** Whether a port of this machine can be listened on. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** The failure to show when a port that was asked for is another program's. */
export function portTaken(port: number, cause?: unknown): Failure {
  return new Failure(`Port ${port} is taken by another program.`, {
    exit: "configuration",
    code: "port-taken",
    next: ["choose another with --port N, or leave --port away and the next free one is used"],
    cause,
  });
}

/**
 * The port for the control plane: the one asked for, else the first free one from 4200 on.
 * @param after A port that another program took while we were starting: the search goes on behind it.
 * @throws Failure when the one asked for is taken.
 */
export async function choosePort(asked: number | undefined, after = DEFAULT_PORT - 1): Promise<number> {
  if (asked !== undefined) {
    if (await isFree(asked)) return asked;
    throw portTaken(asked);
  }
  for (let port = after + 1; port < DEFAULT_PORT + PORTS_TRIED; port++) if (await isFree(port)) return port;
  throw new Failure(`Ports ${DEFAULT_PORT} to ${DEFAULT_PORT + PORTS_TRIED - 1} are all taken.`, {
    exit: "configuration",
    code: "port-taken",
    next: ["choose one with --port N"],
  });
}
