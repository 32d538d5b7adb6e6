import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EmbeddedPostgres, parseConfig, startEmbeddedPostgres } from "./kernel/index.ts";
import { type RunningServer, startServer } from "./server.ts";

/** This file has its own database, because tests kill and restart it. */
let dir: string;
let server: RunningServer;
let cluster: EmbeddedPostgres;

const startCluster = (port?: number) =>
  startEmbeddedPostgres({
    dir: join(dir, "postgres"),
    log: () => {},
    settings: { fsync: "off" },
    ...(port === undefined ? {} : { port }),
  });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "towpath-restart-"));
  cluster = await startCluster();
  const config = parseConfig({
    DATABASE_URL: cluster.url,
    TOWPATH_STATE_DIR: join(dir, "state"),
    TOWPATH_PORT: "0",
    TOWPATH_BOOTSTRAP: "1",
  });
  server = await startServer(config, { log: pino({ level: "silent" }) });
}, 240_000);
afterAll(async () => {
  await server.close();
  await cluster.stop();
  await rm(dir, { recursive: true, force: true });
}, 240_000);

async function ask(path: string, body?: unknown): Promise<Response> {
  const key = (await readFile(join(dir, "state", "admin.key"), "utf8")).trim();
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return fetch(`${server.url}${path}`, { headers, ...init });
}

/** Repeats a request until it succeeds. Each failure before that must be retryable. */
async function askUntilAnswered(path: string, body?: unknown): Promise<Response> {
  for (;;) {
    const answer = await ask(path, body);
    if (answer.status < 300) return answer;
    expect(await answer.json()).toMatchObject({ status: 503, code: "unavailable", retryable: true });
    expect(answer.headers.get("retry-after")).toBe("1");
  }
}

/** Opens transactions on all connections except those for people, and resolves when they have ended. */
function holdTransactions(count: number) {
  const { db } = server.deps.database;
  const entered = Array.from({ length: count }, () => Promise.withResolvers<void>());
  const ends = entered.map(({ resolve }) =>
    db.transaction(async (tx) => {
      await tx.execute("select 1");
      resolve();
      await new Promise(() => {});
    }),
  );
  return { entered: Promise.all(entered.map(({ promise }) => promise)), ends: Promise.allSettled(ends) };
}

/** Waits for a wake-up that another program sends through the database. */
async function hearOf(key: string): Promise<void> {
  const heard = Promise.withResolvers<void>();
  const unsubscribe = server.deps.wakes.subscribe("run", key, () => heard.resolve());
  const other = postgres(cluster.url, { max: 1 });
  await other.notify("towpath", `from another program;run ${key}`);
  await heard.promise;
  unsubscribe();
  await other.end();
}

/** Waits until the sequencer has given all changes their positions, woken only by itself. */
async function untilStamped(): Promise<void> {
  const { database, wakes } = server.deps;
  for (;;) {
    const stamped = Promise.withResolvers<void>();
    const unsubscribe = wakes.subscribe("change", "*", () => stamped.resolve());
    const [row] = await database.sql<{ open: boolean }[]>`
      select exists (select 1 from change where position is null) as open`;
    if (row?.open === false) return unsubscribe();
    await stamped.promise;
    unsubscribe();
  }
}

async function listening(): Promise<void> {
  const back = Promise.withResolvers<void>();
  const unsubscribe = server.deps.wakes.subscribe("pool", "nobody sends this wake-up", () => back.resolve());
  await back.promise;
  unsubscribe();
}

test("the database is killed with open transactions: callers get a retryable problem, and everything continues", async () => {
  const held = holdTransactions(5);
  await held.entered;
  const { port } = cluster;
  const relistening = listening();
  process.kill(cluster.pid, "SIGKILL");
  for (const end of await held.ends) expect(end.status).toBe("rejected");
  const refused = await ask("/api/me");
  expect(refused.status).toBe(503);
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  await cluster.stop();
  cluster = await startCluster(port);
  expect((await askUntilAnswered("/api/me")).status).toBe(200);
  await askUntilAnswered("/api/pools", { name: "after" });
  await relistening;
  await hearOf("somebody");
  await server.deps.database.sql`
    insert into change (workspace_id, kind) values (gen_random_uuid(), 'run')`;
  server.deps.wakes.publish("change", ["unstamped"]);
  await untilStamped();
}, 240_000);

test("after a clean restart each pool reconnects, however many statements come at once", async () => {
  const { port } = cluster;
  const asking = Array.from({ length: 20 }, () => ask("/api/pools"));
  await cluster.stop();
  await Promise.all(asking);
  cluster = await startCluster(port);
  const answers = await Promise.all(Array.from({ length: 30 }, () => askUntilAnswered("/api/pools")));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  const { db } = server.deps.database;
  // More than there are connections: a stuck connection would delay the statements behind it.
  await Promise.all(Array.from({ length: 40 }, () => db.transaction((tx) => tx.execute("select 1"))));
}, 240_000);
