import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Claimed, Session, uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/harness/index.ts";
import { parseConfig } from "./kernel/index.ts";
import { type RunningServer, startServer } from "./server.ts";

const log = pino({ level: "silent" });
/** Far below the deadline after which connections are cut off. */
const PROMPT_MS = 5_000;

let database: TestDatabase;
let stateDir: string;
beforeAll(async () => {
  database = await createTestDatabase();
  stateDir = await mkdtemp(join(tmpdir(), "towpath-server-"));
});
afterAll(async () => {
  await database.drop();
  await rm(stateDir, { recursive: true });
});

function start(more: Record<string, string> = {}): Promise<RunningServer> {
  const config = parseConfig({
    DATABASE_URL: database.url,
    TOWPATH_STATE_DIR: stateDir,
    TOWPATH_PORT: "0",
    TOWPATH_BOOTSTRAP: "1",
    TOWPATH_CHECK_ANSWERS: "1",
    ...more,
  });
  return startServer(config, { log });
}

async function adminHeaders() {
  const key = (await readFile(join(stateDir, "admin.key"), "utf8")).trim();
  return { authorization: `Bearer ${key}`, "content-type": "application/json" };
}

async function post(url: string, args: { headers: Record<string, string>; body: unknown }): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: args.headers,
    body: JSON.stringify(args.body),
  });
  expect(response.status).toBeLessThan(300);
  return response.json();
}

async function openWorker(url: string): Promise<Record<string, string>> {
  const headers = await adminHeaders();
  await post(`${url}/api/pools`, { headers, body: { name: "local" } });
  const made = (await post(`${url}/api/keys`, { headers, body: { kind: "worker", name: "w" } })) as {
    secret: string;
  };
  const body = {
    workerId: uuidv7(Date.now()),
    name: "w",
    pool: "local",
    poolType: "process",
    capacity: 1,
    version: "0",
    protocols: [1],
    process: uuidv7(Date.now()),
  };
  const keyed = { ...headers, authorization: `Bearer ${made.secret}` };
  const session = Session.parse(await post(`${url}/api/worker/session`, { headers: keyed, body }));
  return { ...headers, authorization: `Bearer ${session.token}` };
}

test("it publishes its URL, answers probes, describes its API, and leaves nothing behind", async () => {
  const server = await start();
  const url = server.url ?? "";
  const file = JSON.parse(await readFile(join(stateDir, "server.json"), "utf8"));
  expect(file).toEqual({ url, pid: process.pid });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: object };
  expect(Object.keys(document.paths)).toContain("/api/runs/{runId}");
  const problem = (await (await fetch(`${url}/api/me`)).json()) as { type: string };
  expect(await (await fetch(new URL(problem.type, url))).text()).toContain("HTTP status 401");
  expect((await fetch(`${url}/api/me`, { headers: await adminHeaders() })).status).toBe(200);
  await Promise.all([server.close(), server.close()]);
  expect(existsSync(join(stateDir, "server.json"))).toBe(false);
  await expect(fetch(`${url}/healthz`)).rejects.toThrow();
});

/** When the worker was last seen. A poll records that first: once it has changed, the poll is open. */
async function lastSeen(server: RunningServer): Promise<string> {
  const [row] = await server.deps.database.sql`select last_seen_at::text as at from worker`;
  return String(row?.at);
}

test("closing answers a waiting poll with an empty answer instead of cutting it off", async () => {
  const server = await start();
  const url = server.url ?? "";
  const headers = await openWorker(url);
  let heard = 0;
  const claim = (waitMs: number) => {
    const body = { free: 1, held: [], waitMs, heard, seq: heard + 1 };
    heard += 1;
    return post(`${url}/api/worker/claim`, { headers, body });
  };
  await claim(0);
  const seen = await lastSeen(server);
  const poll = claim(25_000);
  while ((await lastSeen(server)) === seen) {}
  const before = performance.now();
  await server.close();
  expect(Claimed.parse(await poll)).toMatchObject({ assignments: [], commands: [] });
  expect(performance.now() - before).toBeLessThan(PROMPT_MS);
});

test("several servers over one database share everything", async () => {
  const [one, two] = await Promise.all([start(), start({ TOWPATH_BOOTSTRAP: "0" })]);
  const headers = await openWorker(one.url ?? "");
  await post(`${two.url}/api/worker/renew`, { headers, body: { held: [] } });
  await Promise.all([one.close(), two.close()]);
});

test("a process with only the role loops serves no HTTP", async () => {
  const server = await start({ TOWPATH_ROLES: "loops" });
  expect(server.url).toBeNull();
  await server.close();
});

test("a failed start closes what it had opened", async () => {
  const server = await start();
  const port = new URL(server.url ?? "").port;
  await expect(start({ TOWPATH_PORT: port })).rejects.toMatchObject({ code: "port-taken" });
  const [row] = await server.deps.database.sql<{ count: number }[]>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and query ilike 'listen%'`;
  expect(row).toEqual({ count: 1 });
  await server.close();
});
