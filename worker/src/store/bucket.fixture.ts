import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A bucket in memory that knows `If-None-Match: *`. */
export async function openBucket() {
  const objects = new Map<string, string>();
  const writes: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    let body = "";
    request.setEncoding("utf8").on("data", (part) => {
      body += part;
    });
    request.on("end", () => {
      if (request.method === "PUT") {
        writes.push(path);
        const isTaken = objects.has(path) && request.headers["if-none-match"] === "*";
        if (!isTaken) objects.set(path, body);
        response.writeHead(isTaken ? 412 : 200).end();
      } else response.writeHead(objects.has(path) ? 200 : 404).end(objects.get(path));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const access = {
    endpoint,
    region: "eu-west-1",
    accessKeyId: "a",
    secretAccessKey: "b",
    sessionToken: null,
  };
  return {
    store: { root: "s3://values/of flows", s3: access },
    objects,
    writes,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
