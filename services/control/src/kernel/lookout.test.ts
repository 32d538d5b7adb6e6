import { afterAll, beforeAll, expect, test } from "vitest";
import { type SQL, sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { startDuties } from "./duties.ts";
import { DUE } from "./lookout.ts";

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

/** A duty that says when it is needed, and a promise of its round after the first, which every duty has at its start. */
function watched(nextInMs: () => SQL) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let rounds = 0;
  const duty = {
    ...{ name: "watched", everyMs: 1, nextInMs },
    runOnce: async () => {
      rounds += 1;
      if (rounds === 2) resolve();
      return { worked: false };
    },
  };
  return { duty, again: promise, rounds: () => rounds };
}

test("a duty is woken at the time that the lookout found, and one without work is left alone", async () => {
  const needed = watched(() => sql`select 40`);
  const idle = watched(() => sql`select null`);
  const running = startDuties(deps, [needed.duty, idle.duty]);
  await needed.again;
  expect(idle.rounds()).toBe(1);
  await running.stop();
});

test("a lookout that is told of something due looks at once", async () => {
  await deps.database.db.execute(sql`create table lookout_test (ms int)`);
  const needed = watched(() => sql`select min(ms) from lookout_test`);
  const running = startDuties(deps, [needed.duty]);
  await deps.database.db.execute(sql`insert into lookout_test values (0)`);
  deps.wakes.publish("change", [DUE]);
  await needed.again;
  await running.stop();
});

test("when the lookout cannot look, every duty looks for itself", async () => {
  const other = watched(() => sql`select null`);
  const broken = watched(() => sql`select 1 / (ms - ms) from lookout_test limit 1`);
  const running = startDuties(deps, [broken.duty, other.duty]);
  await Promise.all([broken.again, other.again]);
  await running.stop();
});
