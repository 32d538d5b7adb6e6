import { once } from "node:events";
import type { Agent as HttpAgent, IncomingMessage } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import { createServer, type Server } from "node:net";
import { Agent, request } from "../host/http.ts";

/*
 * What a process does for the first time takes long: Node compiles its own modules when they are used. Measured on two cores, the
 * first request over a Unix socket took 9 ms of CPU, the second 2, the third 0.7; the type stripper's first use 25 ms; the
 * built-in modules that the engine imports 6 ms. All of it is Node's own, so a runner can have it behind itself
 * before it knows what it will run.
 */

/** After this many, the next is no faster. */
const EXCHANGES = 3;
const ANSWER = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
/** In the runner's working folder. It is relative, because a socket's path must be short. */
const socketName = () => `warm-${process.pid}`;

/**
 * Does once, with sample data, what the start of a flow will do. Stops early when there is a task. Never
 * rejects: without the warm-up a runner is only slower.
 */
export async function warmUp(hasWork: () => boolean): Promise<void> {
  try {
    stripTypeScriptTypes("const warm: number = 1;");
    if (hasWork()) return;
    await Promise.all([
      import("node:async_hooks"),
      import("node:crypto"),
      import("node:timers/promises"),
      import("node:util"),
    ]);
    if (!hasWork()) await talkToItself(hasWork);
  } catch {
    // See above.
  }
}

async function talkToItself(hasWork: () => boolean): Promise<void> {
  const server = createServer((socket) => {
    socket.on("data", () => socket.write(ANSWER));
    socket.on("error", () => {});
  });
  const agent = new Agent({ keepAlive: true });
  try {
    await listen(server);
    for (let round = 0; round < EXCHANGES && !hasWork(); round++) await exchange(agent);
  } finally {
    agent.destroy();
    server.close();
  }
}

async function listen(server: Server): Promise<void> {
  server.listen(socketName());
  await once(server, "listening");
}

async function exchange(agent: HttpAgent): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const { signal } = new AbortController();
  const options = { agent, socketPath: socketName(), method: "POST", path: "/", signal };
  const outgoing = request({ ...options, headers: { host: "runner", "content-length": 2 } }, resolve);
  outgoing.on("error", reject);
  outgoing.end("{}");
  const chunks: Buffer[] = [];
  for await (const chunk of await promise) chunks.push(Buffer.from(chunk));
  JSON.parse(Buffer.concat(chunks).toString("utf8"));
}
