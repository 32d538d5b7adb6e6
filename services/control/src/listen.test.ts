import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { Hono } from "hono";
import { afterEach, expect, test } from "vitest";
import { HTTP_LIMITS, type Listening, listen } from "./listen.ts";

let listening: Listening | null = null;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await listening?.close();
});

/** An application that answers with the body of the request, or waits on request. */
async function open(limits: Partial<typeof HTTP_LIMITS> = {}) {
  const app = new Hono().onError((error, c) => c.text(error.message, 400));
  const asked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  app.post("/", async (c) => c.text(`read ${(await c.req.text()).length}`));
  app.get("/wait", async (c) => {
    asked.resolve();
    await goOn.promise;
    return c.text("at last");
  });
  listening = await listen(app, { host: "127.0.0.1", port: 0 }, { ...HTTP_LIMITS, ...limits });
  const { port } = new URL(listening.url);
  const dial = async () => {
    const socket = connect(Number(port), "127.0.0.1");
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  };
  return { url: listening.url, dial, asked: asked.promise, goOn: goOn.resolve };
}

const PROMPT = { headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 };

test("a client that never ends its headers gets an error, and its connection is closed", async () => {
  const { dial } = await open(PROMPT);
  const socket = await dial();
  socket.write("GET / HTTP/1.1\r\nhost: x\r\nx-slow: ");
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 /);
});

test("a client that never ends its body is cut off", async () => {
  const { dial } = await open(PROMPT);
  const socket = await dial();
  socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nfirst bytes");
  expect(await text(socket)).not.toContain("200 OK");
});

test("headers that are too large are refused", async () => {
  const { url } = await open();
  const headers = { "x-large": "x".repeat(HTTP_LIMITS.maxHeaderSize) };
  const body = "abc";
  expect((await fetch(url, { method: "POST", headers, body })).status).toBe(431);
  expect(await (await fetch(url, { method: "POST", body })).text()).toBe("read 3");
});

test("an answer may take longer than a request", async () => {
  const { dial, asked, goOn } = await open(PROMPT);
  const patient = await dial();
  patient.write("GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  await asked;
  // The limit of another client passes meanwhile, so the waiting client has waited longer than that.
  const slow = await dial();
  slow.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n");
  await text(slow);
  goOn();
  expect(await text(patient)).toContain("at last");
});

test("connections beyond the limit are closed at once", async () => {
  const { dial } = await open({ maxConnections: 1 });
  const first = await dial();
  const second = await dial();
  expect(await text(second)).toBe("");
  first.write("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc");
  expect(await text(first)).toContain("read 3");
});
