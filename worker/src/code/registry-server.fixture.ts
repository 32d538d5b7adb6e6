import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { afterEach } from "vitest";
import { LAYER_TYPE, MANIFEST_TYPE } from "./oci-layout.fixture.ts";

/** An HTTP server at the network's edge, which answers as a test tells it. */
export interface EdgeServer {
  readonly url: string;
  readonly requests: { readonly path: string; readonly headers: IncomingMessage["headers"] }[];
}

type Handle = (request: IncomingMessage, response: ServerResponse) => void;
const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

/** Starts a server that answers with a function. It stops after the test. */
export async function serveEdge(handle: Handle): Promise<EdgeServer> {
  const requests: EdgeServer["requests"] = [];
  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? "", headers: request.headers });
    response.on("error", () => {});
    handle(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on a port");
  running.push({
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  });
  return { url: `http://127.0.0.1:${address.port}`, requests };
}

/** The digest of bytes. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The manifest of an image with these layers. */
export function manifestOf(layers: readonly Uint8Array[], more: { size?: number } = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      layers: layers.map((layer) => ({
        mediaType: LAYER_TYPE,
        digest: digestOf(layer),
        size: layer.length,
        ...more,
      })),
    }),
  );
}

/** Sends bytes without an end, one part after the other is taken. */
export function endless(response: ServerResponse, part: Uint8Array): void {
  const write = () => {
    while (!response.destroyed && response.write(part));
    if (!response.destroyed) response.once("drain", write);
  };
  write();
}
