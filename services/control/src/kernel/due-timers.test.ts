import { afterAll, beforeAll, expect, test } from "vitest";
import { type SQL, sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { DUE } from "./due-timers.ts";
import { startPeriodicJobs } from "./periodic-jobs.ts";

let database: TestDatabase;
let deps: TestDeps;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

/** A periodic job with a due timer, and a promise of its second round. Every job runs its first round at its start. */
function watched(nextInMs: () => SQL) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let rounds = 0;
  const periodicJob = {
    name: "watched",
    everyMs: 1,
    nextInMs,
    runOnce: async () => {
      rounds += 1;
      if (rounds === 2) resolve();
      return { worked: false };
    },
  };
  return { periodicJob, again: promise, rounds: () => rounds };
}

test("a periodic job is woken when its work is due, and one without work is not", async () => {
  const needed = watched(() => sql`select 40`);
  const idle = watched(() => sql`select null`);
  const running = startPeriodicJobs(deps, [needed.periodicJob, idle.periodicJob]);
  await needed.again;
  expect(idle.rounds()).toBe(1);
  await running.stop();
});

test("the due timers look at once when work with a due time is announced", async () => {
  await deps.database.db.execute(sql`create table due_test (ms int)`);
  const needed = watched(() => sql`select min(ms) from due_test`);
  const running = startPeriodicJobs(deps, [needed.periodicJob]);
  await deps.database.db.execute(sql`insert into due_test values (0)`);
  deps.wakes.publish("change", [DUE]);
  await needed.again;
  await running.stop();
});

test("when the due timers cannot look, every periodic job looks for itself", async () => {
  const other = watched(() => sql`select null`);
  const broken = watched(() => sql`select 1 / (ms - ms) from due_test limit 1`);
  const running = startPeriodicJobs(deps, [broken.periodicJob, other.periodicJob]);
  await Promise.all([broken.again, other.again]);
  await running.stop();
});
