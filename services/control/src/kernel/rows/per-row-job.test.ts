import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../../deps.fixture.ts";
import { perRowJob, type RowWork, retryPeriodicJob, type WorkRow } from "./per-row-job.ts";
import { setAside } from "./poison.ts";

let database: TestDatabase;
let one: TestDeps;
let other: TestDeps;
beforeAll(async () => {
  database = await createTestDatabase();
  one = await openTestDeps({ url: database.url });
  other = await openTestDeps({ url: database.url });
  await one.database.sql.unsafe(
    "create table item (workspace_id uuid, id uuid, done boolean not null default false)",
  );
});
afterAll(async () => {
  await one.close();
  await other.close();
  await database.drop();
});

const columns = { workspaceId: sql`i.workspace_id`, id: sql`i.id` };

/** Work on the items, reported to `handled`. */
function workOf(hold: RowWork<WorkRow>["hold"], act: (rows: readonly WorkRow[]) => Promise<void>) {
  return perRowJob<WorkRow>({
    name: `items-${hold}`,
    everyMs: 1_000,
    hold,
    batch: 10,
    find: async (from, _deps, which) => [
      ...(await from.execute<WorkRow & Record<string, unknown>>(sql`
        select i.workspace_id as "workspaceId", i.id from item i where not i.done and ${which.among(columns)}
        order by i.workspace_id, i.id limit ${which.limit} ${hold === "locks" && which.looks !== true ? sql`for update of i skip locked` : sql``}`)),
    ],
    async act(tx, _deps, rows) {
      await act(rows);
      for (const { id } of rows) await tx.execute(sql`update item set done = true where id = ${id}`);
    },
  });
}

async function plantItems(count: number): Promise<string[]> {
  await one.database.sql`delete from item`;
  const ids: string[] = [];
  for (let tenant = 0; tenant < 2; tenant++) {
    const workspaceId = randomUUID();
    for (let n = 0; n < count / 2; n++) {
      const id = randomUUID();
      ids.push(id);
      await one.database.sql`insert into item (workspace_id, id) values (${workspaceId}, ${id})`;
    }
  }
  return ids;
}

describe("two control planes at once", () => {
  test.each(["locks", "claims", "claims-each"] as const)(
    "handle no row twice, and neither waits: %s",
    async (hold) => {
      const ids = await plantItems(20);
      const handled: string[] = [];
      const begun = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      const slow = workOf(hold, async (rows) => {
        handled.push(...rows.map(({ id }) => id));
        begun.resolve();
        await goOn.promise;
      });
      const quick = workOf(hold, async (rows) => void handled.push(...rows.map(({ id }) => id)));
      const first = slow.runOnce(one);
      await begun.promise;
      const before = handled.length;
      // While the first handles its share, the other handles the rest.
      await quick.runOnce(other);
      if (hold !== "claims") expect(handled.length).toBeGreaterThan(before);
      goOn.resolve();
      await first;
      while (handled.length < ids.length && (await quick.runOnce(other)).worked);
      await quick.runOnce(other);
      expect(handled.toSorted()).toEqual(ids.toSorted());
    },
  );
});

test("a failure of the database sets no row aside", async () => {
  await plantItems(2);
  const periodicJob = workOf("locks", async () => {
    throw Object.assign(new Error("gone"), { code: "CONNECTION_CLOSED" });
  });
  await expect(periodicJob.runOnce(one)).rejects.toThrow("gone");
  expect(await one.database.sql`select from poisoned_row`).toHaveLength(0);
});

test("a row that keeps failing is tried ever less often, at last once an hour", async () => {
  const row = { job: "items", workspaceId: randomUUID(), id: randomUUID(), subjectId: null };
  const pauses: number[] = [];
  for (let failure = 0; failure < 14; failure++) {
    await setAside(one.database.db, one.clock, { row, error: new TypeError("it holds a value") });
    const [kept] = await one.database.sql<{ seconds: number; message: string }[]>`
      select extract(epoch from not_before - now())::float8 as seconds, message from poisoned_row where job = 'items'`;
    pauses.push(kept?.seconds ?? 0);
    expect(kept?.message).not.toContain("value");
  }
  for (const [index, pause] of pauses.entries()) {
    const most = Math.min(3_600, 5 * 2 ** index);
    expect(pause).toBeLessThanOrEqual(most);
    expect(pause).toBeGreaterThan(most * 0.5);
  }
});

describe("a row that was set aside", () => {
  const aside = async (job: string) =>
    one.database.sql<{ failures: number; isDue: boolean }[]>`
      select failures, not_before <= now() as "isDue" from poisoned_row where job = ${job}`;

  /** A row that is due for a retry. */
  async function plantAside(hold: RowWork<WorkRow>["hold"]) {
    await plantItems(2);
    await one.database.sql`delete from item where ctid = (select min(ctid) from item)`;
    const failing = workOf(hold, async () => {
      throw new Error("broken");
    });
    await failing.runOnce(one);
    await one.database.sql`update poisoned_row set not_before = now() where job = ${failing.name}`;
    expect(await aside(failing.name)).toEqual([{ failures: 1, isDue: true }]);
    return failing.name;
  }

  test.each(["locks", "claims", "claims-each"] as const)(
    "stays so, without a further failure, while another process handles it; then it is taken off the list: %s",
    async (hold) => {
      const job = await plantAside(hold);
      const handled: string[] = [];
      const retry = retryPeriodicJob([
        workOf(hold, async (rows) => void handled.push(...rows.map(({ id }) => id))),
      ]);
      await other.database.sql.begin(async (tx) => {
        if (hold === "locks") await tx`select from item for update`;
        else
          await tx`select pg_advisory_xact_lock(hashtextextended(${job} || ' ' || workspace_id || ' ' || id, 0)) from item`;
        await retry.runOnce(one);
        expect(handled).toEqual([]);
        expect(await aside(job)).toEqual([{ failures: 1, isDue: false }]);
      });
      await one.database.sql`update poisoned_row set not_before = now() where job = ${job}`;
      await retry.runOnce(one);
      expect(handled).toHaveLength(1);
      expect(await aside(job)).toEqual([]);
    },
  );

  test.each(["locks", "claims"] as const)("is taken off the list once it is gone: %s", async (hold) => {
    const job = await plantAside(hold);
    await one.database.sql`delete from item`;
    await retryPeriodicJob([workOf(hold, async () => {})]).runOnce(one);
    expect(await aside(job)).toEqual([]);
  });

  test("by a job that only another release has is left to that release", async () => {
    const job = await plantAside("locks");
    expect(await retryPeriodicJob([]).runOnce(one)).toEqual({ worked: false });
    expect(await aside(job)).toEqual([{ failures: 1, isDue: true }]);
    await one.database.sql`delete from poisoned_row where job = ${job}`;
  });
});
