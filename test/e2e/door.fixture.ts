import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A proxy in front of a control plane. It counts open streams, and a test can close it. */
export interface Door extends AsyncDisposable {
  readonly url: string;
  /** The open streams. */
  readonly streams: ReadonlySet<ServerResponse>;
  /** Every request, as `METHOD path`. */
  readonly asked: readonly string[];
  /** Passes requests on; or cuts them off, open streams too; or passes them on with an expired session cookie. */
  set(mode: "open" | "cut" | "signed-out"): void;
  /** Changes the HTML page on its way, from now on. */
  rewrite(change: (html: string) => string): void;
}

/** Starts a proxy in front of the server at `target`. */
export async function openDoor(target: string): Promise<Door> {
  const streams = new Set<ServerResponse>();
  const asked: string[] = [];
  let mode: Parameters<Door["set"]>[0] = "open";
  let change = (html: string) => html;
  const server = createServer((incoming, outgoing) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    if (mode === "cut") return void outgoing.destroy();
    if (mode === "signed-out") incoming.headers.cookie = "towpath_session=over";
    if (incoming.url?.startsWith("/api/events")) streams.add(outgoing);
    outgoing.on("close", () => streams.delete(outgoing));
    forward({ target, incoming, outgoing, change: (html) => change(html) });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    streams,
    asked,
    set(next) {
      mode = next;
      if (next !== "open") for (const stream of streams) stream.destroy();
    },
    rewrite(next) {
      change = next;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function forward(args: {
  target: string;
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  change: (html: string) => string;
}): void {
  const { incoming, outgoing } = args;
  const sent = request(`${args.target}${incoming.url}`, {
    method: incoming.method,
    headers: incoming.headers,
  });
  sent.on("response", (answer) => {
    const { "content-length": _, ...headers } = answer.headers;
    outgoing.writeHead(answer.statusCode ?? 502, headers);
    outgoing.flushHeaders();
    answer.on("error", () => outgoing.destroy());
    if (answer.headers["content-type"]?.startsWith("text/html") !== true) return void answer.pipe(outgoing);
    const parts: Buffer[] = [];
    answer.on("data", (part: Buffer) => parts.push(part));
    answer.on("end", () => outgoing.end(args.change(Buffer.concat(parts).toString())));
  });
  sent.on("error", () => outgoing.destroy());
  outgoing.on("close", () => sent.destroy());
  incoming.pipe(sent);
}
