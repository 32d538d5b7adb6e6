import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { type Change, readChanges, readPosition, writeChanges } from "./change.ts";
import { manualClock } from "./clock.ts";
import { startPeriodicJobs } from "./periodic-jobs.ts";
import { forgetChangesPeriodicJob, sequencerPeriodicJob } from "./sequencer.ts";
import { beforeCommit, inTransaction } from "./transaction.ts";

const WORKSPACE = "0199a000-0000-7000-8000-000000000001";
const OTHER = "0199a000-0000-7000-8000-000000000002";
const RUN = "0199a000-0000-7000-8000-00000000000a";
const PAGE = 37;

let database: TestDatabase;
let deps: TestDeps;
const clock = manualClock(Date.now());
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url, clock });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

/** Follows the feed by position, as a stream does: after wake-ups, and now and then by itself. */
async function follow(args: { workspaceId: string; from: number; count: number }): Promise<Change[]> {
  const seen: Change[] = [];
  let after = args.from;
  let wake = () => {};
  const unsubscribe = deps.wakes.subscribe("change", args.workspaceId, () => wake());
  while (seen.length < args.count) {
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
      setTimeout(resolve, 500).unref();
    });
    const page = await readChanges(deps.database.reads, {
      workspaceId: args.workspaceId,
      after,
      limit: PAGE,
    });
    seen.push(...page);
    after = seen.at(-1)?.position ?? after;
    if (page.length === 0) await woken;
  }
  unsubscribe();
  return seen;
}

test("a change is visible only once it is stamped, and never after a rollback", async () => {
  const before = await readPosition(deps.database.db);
  await inTransaction(deps, (tx) => writeChanges(tx, [{ workspaceId: WORKSPACE, kind: "run", runId: RUN }]));
  await inTransaction(deps, async (tx) => {
    await writeChanges(tx, [{ workspaceId: WORKSPACE, kind: "never" }]);
    throw new Error("rolled back");
  }).catch(() => {});
  const read = () =>
    readChanges(deps.database.db, { workspaceId: WORKSPACE, runId: RUN, after: before, limit: 10 });
  expect(await read()).toEqual([]);
  await sequencerPeriodicJob.runOnce(deps);
  expect(await read()).toMatchObject([{ position: before + 1, kind: "run", runId: RUN }]);
  expect(await readPosition(deps.database.db)).toBe(before + 1);
});

test("readers by position miss nothing while writers commit out of order and two sequencers compete", async () => {
  const writers = 12;
  const each = 40;
  const from = await readPosition(deps.database.db);
  const periodicJobs = [
    startPeriodicJobs(deps, [sequencerPeriodicJob]),
    startPeriodicJobs(deps, [sequencerPeriodicJob]),
  ];
  const readers = [1, 2].map(() => follow({ workspaceId: WORKSPACE, from, count: writers * each }));
  const write = async (writer: number) => {
    for (let n = 0; n < each; n++) {
      await inTransaction(deps, async (tx) => {
        const entityId = `${writer}:${n}`;
        await writeChanges(tx, [
          { workspaceId: WORKSPACE, kind: "race", entityId },
          { workspaceId: OTHER, kind: "race", entityId },
        ]);
        // Keeps the transaction open for a moment after its changes, so that later ids commit before earlier ones.
        beforeCommit(tx, "hold", async () => {
          await tx.execute(sql`select pg_sleep(${Math.random() * 0.004})`);
        });
      });
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  for (const seen of await Promise.all(readers)) {
    expect(new Set(seen.map((row) => row.entityId)).size).toBe(writers * each);
    expect(seen).toHaveLength(writers * each);
    for (const [index, row] of seen.entries()) {
      expect(row.workspaceId).toBe(WORKSPACE);
      if (index > 0) expect(row.position).toBeGreaterThan(seen[index - 1]?.position ?? 0);
    }
    for (let writer = 0; writer < writers; writer++) {
      const own = seen.flatMap(({ entityId }) => (entityId?.startsWith(`${writer}:`) ? [entityId] : []));
      expect(own).toEqual(own.map((_, n) => `${writer}:${n}`));
    }
  }
  await Promise.all(periodicJobs.map((running) => running.stop()));
  const [gaps] = await deps.database.db.execute<{ gaps: number }>(
    sql`select (max(position) - min(position) + 1 - count(*))::int as gaps from change where position is not null`,
  );
  expect(gaps).toEqual({ gaps: 0 });
});

test("old changes are deleted, and positions continue", async () => {
  const before = await readPosition(deps.database.db);
  clock.advance(deps.config.changeRetentionMs + 60_000);
  while ((await forgetChangesPeriodicJob.runOnce(deps)).worked) {}
  const [rest] = await deps.database.db.execute<{ count: number }>(
    sql`select count(*)::int as count from change`,
  );
  expect(rest).toEqual({ count: 0 });
  await inTransaction(deps, (tx) => writeChanges(tx, [{ workspaceId: WORKSPACE, kind: "after" }]));
  await sequencerPeriodicJob.runOnce(deps);
  const read = await readChanges(deps.database.db, { workspaceId: WORKSPACE, after: before, limit: 5 });
  expect(read).toMatchObject([{ position: before + 1, kind: "after" }]);
});
