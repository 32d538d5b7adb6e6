import { mkdtemp, rm, stat } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Problem, uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createCommandBoard } from "./commands.ts";
import { type Gateway, openGateway } from "./server.ts";

let dir: string;
let gateway: Gateway;
const board = () => createCommandBoard({ clock: { nowMs: () => performance.now() } });
let commands: ReturnType<typeof board>;
const taken: string[] = [];
/** Whether the control plane has everything up to a number. Tests resolve it. */
let stored: PromiseWithResolvers<boolean>;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-gateway-"));
  commands = board();
  taken.length = 0;
  stored = Promise.withResolvers();
  gateway = await open();
});
afterEach(async () => {
  await gateway.close();
  await rm(dir, { recursive: true, force: true });
});

async function open(): Promise<Gateway> {
  const log = pino({ level: "silent" });
  return await openGateway(
    { log },
    {
      socket: join(dir, "s"),
      token: "right",
      group: null,
      host: {
        context: () => {
          throw new Error("inner detail");
        },
        async records(lines) {
          taken.push(...lines);
          return { acked: taken.length, rejected: [] };
        },
        commands: (a) => commands.waitFor(a),
        async call() {
          throw new Problem("forbidden", "not allowed");
        },
        checkpoints: async (after) => ({ items: [], next: after === null ? "second" : null }),
        stored: ({ seq, waitMs }) => (waitMs === undefined ? stored.promise : Promise.resolve(seq <= 2)),
      },
    },
  );
}

async function ask(method: string, path: string, body = "", token = "right") {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const headers = { authorization: `Bearer ${token}` };
  const sent = request({ socketPath: join(dir, "s"), method, path, headers }, async (answer) => {
    let text = "";
    for await (const chunk of answer) text += String(chunk);
    resolve({ status: answer.statusCode ?? 0, text });
  });
  sent.on("error", reject);
  sent.end(body);
  return await promise;
}

test("200: lines of NDJSON are passed on without blank lines", async () => {
  expect(await ask("POST", "/records", '{"a":1}\n\n{"b":2}\n')).toMatchObject({ status: 200 });
  expect(taken).toEqual(['{"a":1}', '{"b":2}']);
});

test("200: pages of checkpoints by their cursor, and whether records are stored", async () => {
  expect(JSON.parse((await ask("GET", "/checkpoints")).text)).toEqual({ items: [], next: "second" });
  expect(JSON.parse((await ask("GET", "/checkpoints?after=second")).text)).toEqual({ items: [], next: null });
  expect(JSON.parse((await ask("GET", "/stored?seq=2&waitMs=100")).text)).toEqual({ stored: true });
  expect(JSON.parse((await ask("GET", "/stored?seq=3")).text)).toEqual({ stored: false });
  expect((await ask("GET", "/stored?seq=zero")).status).toBe(400);
});

/** A stream of records: sends lines and returns the answers. */
async function openStream(token = "right") {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = { authorization: `Bearer ${token}` };
  const sent = request(
    { agent: false, socketPath: join(dir, "s"), method: "POST", path: "/stream", headers },
    resolve,
  );
  sent.on("error", reject);
  sent.flushHeaders();
  const answer = await promise;
  const lines = createInterface({ input: answer })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value ?? "null");
  return { status: answer.statusCode, say: (text: string) => sent.write(text), next, end: () => sent.end() };
}

test("a stream answers each batch like a POST, and goes on after a refused batch", async () => {
  const stream = await openStream();
  stream.say('{"a":1}\n{"b"');
  stream.say(":2}\n\n");
  expect(await stream.next()).toEqual({ acked: 2, rejected: [] });
  stream.say(`${"{}\n".repeat(1001)}\n`);
  expect(await stream.next()).toMatchObject({ status: 413, code: "payload-too-large" });
  stream.say('\n{"c":3}\n\n');
  expect(await stream.next()).toEqual({ acked: 3, rejected: [] });
  expect(taken).toEqual(['{"a":1}', '{"b":2}', '{"c":3}']);
  stream.end();
  expect(await stream.next()).toBe(null);
});

test("a stream says on request when all records up to one are stored; batches do not wait for that", async () => {
  const stream = await openStream();
  stream.say('{"a":1}\n\n{"stored":1}\n');
  expect(await stream.next()).toEqual({ acked: 1, rejected: [] });
  stream.say('{"b":2}\n\n');
  expect(await stream.next()).toEqual({ acked: 2, rejected: [] });
  stored.resolve(true);
  expect(await stream.next()).toEqual({ stored: 1 });
  stream.end();
});

test("only the last stream of an attempt counts, and all end with the gateway; 401 without the token", async () => {
  const [first, second] = [await openStream(), await openStream()];
  await expect(first.next()).rejects.toThrow("aborted");
  second.say('{"a":1}\n\n');
  expect(await second.next()).toEqual({ acked: 1, rejected: [] });
  const ended = second.next();
  await gateway.close();
  expect(await ended).toBe(null);
  gateway = await open();
  expect((await openStream("wrong")).status).toBe(401);
});

test("401: a wrong or missing token is refused before anything is read", async () => {
  expect((await ask("POST", "/records", "{}", "wrong")).status).toBe(401);
  expect((await ask("POST", "/records", "{}", "")).status).toBe(401);
  expect(taken).toEqual([]);
});

test("403, 400 and 404 are problems with their code", async () => {
  const call = { path: "a", call: { kind: "get-run", runId: uuidv7(0) } };
  const refused = await ask("POST", "/calls", JSON.stringify(call));
  expect([refused.status, JSON.parse(refused.text).code]).toEqual([403, "forbidden"]);
  expect((await ask("POST", "/calls", "{")).status).toBe(400);
  expect((await ask("GET", "/nothing")).status).toBe(404);
});

test("413: more records than one POST may hold", async () => {
  expect((await ask("POST", "/records", "{}\n".repeat(1001))).status).toBe(413);
});

test("503: an internal failure is answered without its detail", async () => {
  const answer = await ask("GET", "/context");
  expect(answer.status).toBe(503);
  expect(answer.text).not.toContain("inner detail");
});

test("a poll for commands is answered when there is one, and at once for an older revision", async () => {
  const polling = ask("GET", "/commands?revision=0&waitMs=20000");
  await expect.poll(() => commands.listening()).toBe(true);
  commands.cancel({ reason: "stop it", cause: "user" });
  commands.cancel({ reason: "again", cause: "timeout" });
  expect(JSON.parse((await polling).text)).toEqual({
    revision: 1,
    cancel: { reason: "stop it", cause: "user" },
    answers: [],
  });
  expect(JSON.parse((await ask("GET", "/commands?revision=0&waitMs=20000")).text).revision).toBe(1);
});

test("closing answers open polls, and the socket can be opened again at the same path", async () => {
  const polling = ask("GET", "/commands?revision=0&waitMs=20000");
  await expect.poll(() => commands.listening()).toBe(true);
  await gateway.close();
  expect((await polling).status).toBe(200);
  gateway = await open();
  expect((await stat(join(dir, "s"))).mode & 0o777).toBe(0o600);
  expect((await ask("POST", "/records", "{}")).status).toBe(200);
});

test("after a restart, a process that may have listened before gets a short time to come back", () => {
  let nowMs = 1_000_000;
  const later = createCommandBoard({ clock: { nowMs: () => nowMs } });
  expect(later.listening()).toBe(false);
  later.awaitReturn();
  expect(later.listening()).toBe(true);
  nowMs += 3_000;
  expect(later.listening()).toBe(false);
});
