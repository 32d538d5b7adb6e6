import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

/** An HTTP proxy with CONNECT, as company networks have it. */
export interface ConnectProxy extends AsyncDisposable {
  readonly url: string;
  /** The targets that clients asked for, as `host:port`. */
  readonly asked: readonly string[];
}

/**
 * Starts a proxy.
 * @param resolve maps `host:port` to a local port; null makes the proxy answer 403
 * @param host The address on which it listens. @default the loopback address
 */
export async function startConnectProxy(
  resolve: (target: string) => number | null,
  host = "127.0.0.1",
): Promise<ConnectProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_, answer) =>
    answer.writeHead(403, { "content-type": "text/html" }).end("<p>no</p>"),
  );
  server.on("connection", (socket) => sockets.add(socket));
  server.on("connect", (request, client: Socket, head: Buffer) => {
    asked.push(request.url ?? "");
    client.on("error", () => undefined);
    const port = resolve(request.url ?? "");
    if (port === null) return client.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    const there = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      there.write(head);
      there.pipe(client).pipe(there);
    });
    sockets.add(there);
    there.on("error", () => client.destroy());
  });
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
