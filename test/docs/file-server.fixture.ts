import { once } from "node:events";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";

/** A web server with a bearer token that keeps what is PUT, as nginx does with its WebDAV module. */
export async function startFileServer(token: string): Promise<{ url: string } & AsyncDisposable> {
  const files = new Map<string, Buffer>();
  const server = createServer(async (request, response) => {
    const path = request.url ?? "";
    if (request.headers.authorization !== `Bearer ${token}`) return void response.writeHead(401).end();
    if (request.method === "PUT") {
      files.set(path, await buffer(request));
      return void response.writeHead(201).end();
    }
    const found = files.get(path);
    if (found === undefined)
      return void response.writeHead(404, { "content-type": "text/html" }).end("<h1>404</h1>");
    response.writeHead(200, { "content-length": found.length }).end(request.method === "HEAD" ? "" : found);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on a port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
