import { pino } from "pino";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { ANY_KEY, openWakes, type Wakes } from "./wakes.ts";

const log = pino({ level: "silent" });
let database: TestDatabase;
const open: (() => Promise<void>)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});
afterAll(() => database.drop());

async function connect(): Promise<{ wakes: Wakes; sql: postgres.Sql }> {
  const sql = postgres(database.url, { max: 2, onnotice: () => {} });
  const wakes = await openWakes({ sql, log });
  open.push(async () => {
    await wakes.close();
    await sql.end({ timeout: 5 });
  });
  return { wakes, sql };
}

const once = (wakes: Wakes, topic: "pool" | "run" | "change", key: string) =>
  new Promise<void>((resolve) => {
    const unsubscribe = wakes.subscribe(topic, key, () => {
      unsubscribe();
      resolve();
    });
  });

test("a publication reaches every process, for its key and for subscribers to all keys, and nobody else", async () => {
  const [first, second] = await Promise.all([connect(), connect()]);
  let others = 0;
  second.wakes.subscribe("pool", "b", () => (others += 1));
  second.wakes.subscribe("run", "a", () => (others += 1));
  const waiting = [first, second].flatMap(({ wakes }) => [
    once(wakes, "pool", "a"),
    once(wakes, "pool", ANY_KEY),
  ]);
  first.wakes.publish("pool", ["a"]);
  await Promise.all(waiting);
  expect(others).toBe(0);
});

test("publications during a flush are sent in one notification", async () => {
  const { wakes, sql } = await connect();
  const payloads: string[] = [];
  const heard = Promise.withResolvers<void>();
  const listening = await sql.listen("towpath", (payload) => {
    payloads.push(payload);
    if (payload.includes("last")) heard.resolve();
  });
  for (let n = 0; n < 50; n++) wakes.publish("run", [`key-${n}`]);
  wakes.publish("pool", ["last"]);
  await heard.promise;
  expect(payloads.length).toBeLessThanOrEqual(2);
  await listening.unlisten();
});

test("too many keys for one notification become a wake-up of all keys in other processes", async () => {
  const [first, second] = await Promise.all([connect(), connect()]);
  const waiting = once(second.wakes, "run", "somebody-else");
  first.wakes.publish(
    "run",
    Array.from({ length: 1_000 }, (_, n) => `0199a000-0000-7000-8000-${n}`),
  );
  await waiting;
});

test("after a lost connection it listens again, and wakes everybody for what may have been missed", async () => {
  const { wakes } = await connect();
  const admin = postgres(database.url, { max: 1 });
  const missed = [once(wakes, "pool", "a"), once(wakes, "run", "b")];
  await admin`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and query ilike 'listen%'`;
  await Promise.all(missed);
  const again = once(wakes, "pool", "c");
  wakes.publish("pool", ["c"]);
  await again;
  await admin.end();
});

test("an unsubscribed waiter is not woken", async () => {
  const { wakes } = await connect();
  let woken = 0;
  const unsubscribe = wakes.subscribe("pool", "a", () => (woken += 1));
  unsubscribe();
  const sign = once(wakes, "pool", "b");
  wakes.publish("pool", ["a", "b"]);
  await sign;
  expect(woken).toBe(0);
});
