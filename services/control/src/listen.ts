import { once } from "node:events";
import { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import type { App, Config } from "./kernel/index.ts";
import { StartError } from "./start-error.ts";

/** Longer than the idle time of common load balancers, so that they close a connection first. */
const KEEP_ALIVE_MS = 65_000;
/** How often idle connections are closed while the server stops, milliseconds: a busy one becomes idle later. */
const CLOSE_IDLE_EVERY_MS = 50;
/** How long open requests may take once the server stops, milliseconds. */
const CLOSE_DEADLINE_MS = 10_000;

/**
 * Limits for a client that has not sent a complete request. They do not limit the time of an answer, so long-polls and
 * streams are not affected.
 */
export const HTTP_LIMITS = {
  /** Request line and headers, bytes. More is answered 431. A session token and a proxy's headers take a few hundred. */
  maxHeaderSize: 16 * 1024,
  /** From the first byte of a connection or of the next request to the end of its headers, milliseconds. Then 408. */
  headersTimeout: 15_000,
  /** To the end of the body, milliseconds: enough for a report of 8 MiB at half a megabit a second. */
  requestTimeout: 150_000,
  /** How often these limits are checked, milliseconds. */
  connectionsCheckingInterval: 5_000,
  /** The most connections of one process. Further ones are closed at once. */
  maxConnections: 10_000,
};

/** A server that listens. */
export interface Listening {
  /** The URL of the server on this machine. */
  readonly url: string;
  /** Accepts no more connections, lets open requests end, and cuts them off at a deadline. */
  close(): Promise<void>;
}

type Address = Pick<Config, "host" | "port">;

function startErrorOf(config: Address, cause: unknown): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : null;
  if (code === "EADDRINUSE")
    return new StartError(
      "port-taken",
      `Port ${config.port} on ${config.host} is in use by another program. ` +
        "Stop that program, or set TOWPATH_PORT to another port (0 chooses any free one).",
      cause,
    );
  if (code === "EACCES")
    return new StartError(
      "port-not-allowed",
      `This user may not listen on port ${config.port}. Set TOWPATH_PORT to a port above 1023.`,
      cause,
    );
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
    return new StartError(
      "address-not-available",
      `This machine has no address "${config.host}". Set TOWPATH_HOST to 127.0.0.1, or to 0.0.0.0 for all addresses.`,
      cause,
    );
  return cause;
}

function urlOf(server: Server, config: Address): string {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : config.port;
  const any = ["0.0.0.0", "::", ""].includes(config.host);
  const host = any ? "127.0.0.1" : config.host.includes(":") ? `[${config.host}]` : config.host;
  return `http://${host}:${port}`;
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const idle = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS);
  const deadline = setTimeout(() => server.closeAllConnections(), CLOSE_DEADLINE_MS);
  await closed;
  clearInterval(idle);
  clearTimeout(deadline);
}

/**
 * Listens on the configured host and port.
 * @param limits smaller ones, for tests. @default HTTP_LIMITS
 * @throws StartError `port-taken`, `port-not-allowed`, `address-not-available`.
 */
export async function listen(
  app: Pick<App, "fetch">,
  config: Address,
  limits: typeof HTTP_LIMITS = HTTP_LIMITS,
): Promise<Listening> {
  const { maxConnections, ...serverOptions } = limits;
  const server = createAdaptorServer({ fetch: app.fetch, serverOptions });
  if (!(server instanceof Server)) throw new TypeError("the adaptor made a server of another protocol");
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.maxConnections = maxConnections;
  server.listen(config.port, config.host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw startErrorOf(config, cause);
  }
  return { url: urlOf(server, config), close: () => closeServer(server) };
}
