import { once } from "node:events";
import { PROBLEMS } from "@towpath/contract";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { type Database, type DatabaseLimits, openDatabase, type Tx } from "./database.ts";
import { problemOf } from "./http/failure.ts";

let database: TestDatabase;
const open: Database[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  for (const one of open.splice(0)) {
    await one.db.execute(sql`drop table if exists mark`);
    await one.close();
  }
});
afterAll(() => database.drop());

/** One connection, so that statements after a loss use the same one. */
async function connect(limits: DatabaseLimits = {}): Promise<Database> {
  const opened = openDatabase(database.url, { workConnections: 1, ...limits });
  open.push(opened);
  await opened.db.execute(sql`create table mark (n int)`);
  return opened;
}

async function backendOf(tx: Tx): Promise<number> {
  const [row] = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`);
  return row?.pid ?? 0;
}

/** Kills a transaction's backend and waits until the database has removed it. */
async function kill(from: Database, pid: number): Promise<void> {
  await from.sql`select pg_terminate_backend(${pid}, 5000)`;
}

const marks = (from: Database) =>
  from.db.transaction(async (tx) => (await tx.execute(sql`select n from mark`)).length);

function expectUnavailable(error: unknown): void {
  const problem = problemOf(error);
  expect(problem.code).toBe("unavailable");
  expect(PROBLEMS[problem.code]).toMatchObject({ status: 503, retryable: true });
}

/** Uncaught errors and rejections of this process. */
function listenForUncaught(): () => unknown[] {
  const caught: unknown[] = [];
  const note = (error: unknown) => caught.push(error);
  process.prependListener("uncaughtExceptionMonitor", note);
  return () => {
    process.removeListener("uncaughtExceptionMonitor", note);
    return caught;
  };
}

test("a transaction whose backend is killed between two statements fails as unavailable, and the pool stays usable", async () => {
  const own = await connect();
  const uncaught = listenForUncaught();
  const error = await own.db
    .transaction(async (tx) => {
      await tx.execute(sql`insert into mark values (1)`);
      await kill(own, await backendOf(tx));
      await tx.execute(sql`insert into mark values (2)`);
    })
    .catch((cause: unknown) => cause);
  expectUnavailable(error);
  expect(await marks(own)).toBe(0);
  await own.db.transaction((tx) => tx.execute(sql`insert into mark values (3)`));
  expect(await marks(own)).toBe(1);
  expect(uncaught()).toEqual([]);
});

test("a transaction whose backend is killed during a statement fails as unavailable", async () => {
  const own = await connect();
  const uncaught = listenForUncaught();
  const error = await own.db
    .transaction(async (tx) => {
      const pid = await backendOf(tx);
      const sleeping = tx.execute(sql`select pg_sleep(60)`);
      await Promise.all([sleeping, kill(own, pid)]);
    })
    .catch((cause: unknown) => cause);
  expectUnavailable(error);
  expect(await marks(own)).toBe(0);
  expect(uncaught()).toEqual([]);
});

test("a lost transaction rejects at once while its work continues, and the work's statements are refused", async () => {
  const own = await connect();
  const goOn = Promise.withResolvers<void>();
  const later = Promise.withResolvers<unknown>();
  const lost = own.db.transaction(async (tx) => {
    await kill(own, await backendOf(tx));
    await goOn.promise;
    await tx.execute(sql`insert into mark values (1)`).then(later.resolve, later.reject);
  });
  expectUnavailable(await lost.catch((cause: unknown) => cause));
  // The connection has been reopened: a statement of the old transaction would run on it, and stay.
  expect(await marks(own)).toBe(0);
  goOn.resolve();
  expectUnavailable(await later.promise.catch((cause: unknown) => cause));
  expect(await marks(own)).toBe(0);
});

test("a transaction with another failure is rolled back, and reports it", async () => {
  const own = await connect();
  const failed = own.db.transaction(async (tx) => {
    await tx.execute(sql`insert into mark values (1)`);
    throw new RangeError("no");
  });
  await expect(failed).rejects.toThrow(RangeError);
  const broken = own.db.transaction((tx) => tx.execute(sql`select 1/0`));
  await expect(broken).rejects.toMatchObject({ cause: { code: "22012" } });
  expect(await marks(own)).toBe(0);
});

test("a transaction that is idle too long is ended by the database and leaves nothing", async () => {
  const own = await connect({ idleTransactionMs: 50 });
  const never = new EventTarget();
  const held = own.db.transaction(async (tx) => {
    await tx.execute(sql`insert into mark values (1)`);
    await once(never, "never");
  });
  expectUnavailable(await held.catch((cause: unknown) => cause));
  expect(await marks(own)).toBe(0);
});

test("statements have a time limit in every pool", async () => {
  const own = await connect({ workTimeoutMs: 50, readTimeoutMs: 50 });
  const slow = sql`select pg_sleep(60)`;
  expectUnavailable(await own.db.execute(slow).catch((cause: unknown) => cause));
  expectUnavailable(await own.reads.execute(slow).catch((cause: unknown) => cause));
  expectUnavailable(await own.sql`select pg_sleep(60)`.catch((cause: unknown) => cause));
});
