import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { createClient } from "@towpath/client";
import { CreateRuns } from "@towpath/contract";
import { expect, test } from "vitest";
import { createBatch } from "./create-many.ts";

/** A control plane that takes so many runs in one request, and refuses more as too large. */
async function serveSmall(most: number) {
  const sizes: number[] = [];
  const server = createServer(async (request, response) => {
    const send = (status: number, body: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    const { runs } = CreateRuns.parse(JSON.parse(await text(request)));
    sizes.push(runs.length);
    if (runs.length > most) {
      return send(413, {});
    }
    send(200, { items: runs.map(({ id }) => ({ id, outcome: "created", problem: null })) });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    sizes,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("a batch that is refused as too large is sent in halves", async () => {
  await using plane = await serveSmall(2);
  const lines = Array.from({ length: 5 }, (_, n) => ({ number: n + 1, parameters: { n }, sizeBytes: 7 }));
  const request = { deployment: "penguins", from: "-", tags: [], idempotencyKey: "key" };
  const options = { priority: undefined, queue: undefined, expireAfter: undefined };
  const client = createClient({ url: plane.url, token: "twp_api_x" });
  const invocation = { clock: { nowMs: () => 1_800_000_000_000 } };
  const created = await createBatch(invocation, { client, request: { ...request, ...options }, lines });
  expect(plane.sizes).toEqual([5, 3, 2, 1, 2]);
  expect(new Set(created.map(({ id }) => id)).size).toBe(5);
});
