import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { inTransaction, outside } from "./transaction.ts";

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

const openTransactions = async () => {
  const [row] = await deps.database.db.execute<{ count: number }>(sql`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and state like 'idle in transaction%'`);
  return row?.count;
};

test("a transaction computes its result from outside once, while no transaction is open", async () => {
  const open: (number | undefined)[] = [];
  const get = async () => {
    open.push(await openTransactions());
    return "it";
  };
  const answer = await inTransaction(deps, async (tx) => {
    await tx.execute(sql`select 1`);
    return [await outside(tx, "a", get), await outside(tx, "a", get)];
  });
  expect(answer).toEqual(["it", "it"]);
  expect(open).toEqual([0]);
});

test("a failure outside fails the transaction", async () => {
  const work = inTransaction(deps, (tx) => outside(tx, "a", () => Promise.reject(new Error("no"))));
  await expect(work).rejects.toThrow("no");
});

test("a transaction that always needs more from outside ends nevertheless", async () => {
  const answer = await inTransaction(deps, async (tx) => {
    const all: number[] = [];
    for (let n = 0; n < 50; n++) all.push(await outside(tx, `${n}`, async () => n));
    return all.length;
  });
  expect(answer).toBe(50);
});
