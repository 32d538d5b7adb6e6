import { once } from "node:events";
import { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import type { App, Config } from "./kernel/index.ts";
import { StartError } from "./start-error.ts";

/** Longer than the idle time of usual load balancers, which must be the ones to close. */
const KEEP_ALIVE_MS = 65_000;
/** How often idle connections are closed while the server stops: one that was busy becomes idle later. */
const CLOSE_IDLE_EVERY_MS = 50;
/** How long requests may take to end once the server stops. */
const CLOSE_DEADLINE_MS = 10_000;

/**
 * What one client may ask of a connection before it has sent a whole request. How long an answer takes is another matter:
 * long-polls and streams are not touched by these.
 */
export const HTTP_LIMITS = {
  /** Request line and headers, bytes: a session token and what proxies add are a few hundred. More is answered 431. */
  maxHeaderSize: 16 * 1024,
  /** From a connection's (or the next request's) first byte to the end of its headers, milliseconds. Later is answered 408. */
  headersTimeout: 15_000,
  /** To the end of its body, milliseconds: a report of 8 MiB by a link of half a megabit a second. */
  requestTimeout: 150_000,
  /** How often connections are looked at for these, milliseconds. */
  connectionsCheckingInterval: 5_000,
  /** Connections of one process; those beyond are closed as they come. */
  maxConnections: 10_000,
};

/** A server that listens. */
export interface Listening {
  /** Where this machine reaches it. */
  readonly url: string;
  /** Takes no more connections, lets requests in progress end, and cuts them off at a deadline. */
  close(): Promise<void>;
}

type Address = Pick<Config, "host" | "port">;

function startErrorOf(config: Address, cause: unknown): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : null;
  if (code === "EADDRINUSE")
    return new StartError(
      "port-taken",
      `Port ${config.port} on ${config.host} is taken by another program. ` +
        "Stop it, or set TOWPATH_PORT to another port (0 takes any free one).",
      cause,
    );
  if (code === "EACCES")
    return new StartError(
      "port-not-allowed",
      `This user may not listen on port ${config.port}. Set TOWPATH_PORT to one above 1023.`,
      cause,
    );
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
    return new StartError(
      "address-not-available",
      `This machine has no address "${config.host}". Set TOWPATH_HOST to 127.0.0.1, or to 0.0.0.0 for all of them.`,
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
