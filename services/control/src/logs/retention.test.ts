import { type Assignment, derivedId, Problem } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { heartbeatPeriodicJob } from "../kernel/index.ts";
import { call, cancelRun, createRun, getRun, listRuns, type RunRequest } from "../runs/index.ts";
import { LOOPS } from "../slices.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { getLogs, listArtifacts } from "./index.ts";

const DAY_MS = 24 * 3_600_000;

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase(), {
    historyRetentionMs: 90 * DAY_MS,
    logRetentionMs: 30 * DAY_MS,
  });
});
afterAll(() => testEnv.close());

/** Runs every periodic job until none has more to do. */
async function work(): Promise<void> {
  for (const periodicJob of LOOPS) while ((await periodicJob.runOnce(testEnv.deps)).worked);
}

async function pass(days: number): Promise<void> {
  testEnv.clock.advance(days * DAY_MS);
  await heartbeatPeriodicJob.runOnce(testEnv.deps);
  await work();
}

async function ended(tenancy: Tenancy, over: Partial<RunRequest> = {}): Promise<string> {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request(over));
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const fence = await fakeWorker.take();
  const at = "2026-01-15T12:00:00.000Z";
  const body = { kind: "markdown", text: "x" };
  const picture = { type: "artifact", at, key: "k", title: "", task: null, body };
  const bulk = [records.log(0, ["one", "two"]), picture];
  await fakeWorker.report(
    fence,
    [records.started, records.task("t", "begin"), records.ended("completed", { lastBulkSeq: 2 })],
    {
      bulk,
    },
  );
  await fakeWorker.report({ ...fence, epoch: 1, nonce: "0".repeat(36) }, [records.started]);
  return id;
}

async function count(table: string): Promise<number> {
  const [row] = await testEnv.deps.database.db.execute<{ count: number }>(
    sql`select count(*)::int as count from ${sql.identifier(table)}`,
  );
  return row?.count ?? -1;
}

test("lines past their retention become a gap, runs past theirs disappear, and younger ones stay", async () => {
  await work();
  const tenancy = await openTenancy(testEnv);
  const { scope } = tenancy;
  const asked = { idempotencyKey: "daily" };
  const runId = await ended(tenancy, asked);
  await pass(1);
  const log = () => getLogs(testEnv.deps, scope, { runId, after: "0:0", limit: 100 });
  expect((await log()).entries.map((one) => one.kind)).toEqual(["line", "line"]);

  await pass(60);
  expect(await log()).toEqual({
    entries: [{ kind: "gap", attempt: 1, line: 0, count: 2, reason: "no longer kept" }],
    next: "1:2",
    end: true,
  });
  expect((await getRun(testEnv.deps, scope, { runId })).state).toBe("completed");
  expect((await listArtifacts(testEnv.deps, scope, { runId, limit: 5 })).items).toHaveLength(1);
  const younger = await ended(tenancy);

  await pass(60);
  await expect(getRun(testEnv.deps, scope, { runId })).rejects.toMatchObject(
    new Problem("run-not-found", `There is no run ${runId}.`),
  );
  expect((await listRuns(testEnv.deps, scope, { limit: 5 })).items.map((run) => run.id)).toEqual([younger]);
  for (const table of ["attempt_history", "task_run_history", "run_key", "artifact", "late_report"])
    expect([table, await count(table)]).toEqual([table, 1]);
  expect(await count("idempotency_key")).toBe(0);
  const again = await createRun(testEnv.deps, scope, tenancy.request(asked));
  expect(again.id).not.toBe(runId);
});

test("runs that were archived into the default partition are deleted too", async () => {
  const tenancy = await openTenancy(testEnv);
  for (const name of ["run_history", "attempt_history", "task_run_history"]) {
    const [row] = await testEnv.deps.database.db.execute<{ name: string }>(
      sql`select max(c.relname) as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = to_regclass(${name})`,
    );
    expect(row?.name).toContain("_y2026m");
  }
  testEnv.clock.advance(100 * DAY_MS);
  await heartbeatPeriodicJob.runOnce(testEnv.deps);
  const runId = await ended(tenancy);
  testEnv.clock.advance(DAY_MS);
  await heartbeatPeriodicJob.runOnce(testEnv.deps);
  for (const periodicJob of LOOPS.filter(({ name }) => name === "archive"))
    await periodicJob.runOnce(testEnv.deps);
  expect(await count("run_history_default")).toBeGreaterThan(0);
  await pass(130);
  expect(await count("run_history_default")).toBe(0);
  expect(await count("log_chunk_default")).toBe(0);
  await expect(getRun(testEnv.deps, tenancy.scope, { runId })).rejects.toThrow("There is no run");
});

test("workers that were not seen during the retention of history are deleted, and recorded again when they come back", async () => {
  const tenancy = await openTenancy(testEnv);
  const worker = await tenancy.worker();
  await pass(91);
  const fakeWorker = new FakeWorker(testEnv, worker);
  await expect(fakeWorker.poll({ waitMs: 0 })).rejects.toMatchObject({ code: "session-expired" });
});

/** Creates running runs whose attempts have written two lines each. */
async function atWork(tenancy: Tenancy, fakeWorker: FakeWorker, count: number): Promise<Assignment[]> {
  for (let made = 0; made < count; made++) await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const { assignments } = await fakeWorker.look({ free: count });
  for (const fence of assignments)
    await fakeWorker.report(fence, [records.started], { bulk: [records.log(0, ["one", "two"])] });
  return assignments;
}

async function suspend(fakeWorker: FakeWorker, fence: Assignment): Promise<void> {
  const path = "approve";
  await call(testEnv.deps, fakeWorker.worker, {
    attemptId: fence.attemptId,
    epoch: fence.epoch,
    nonce: fence.nonce,
    callId: await derivedId(fence.runId, path),
    call: { kind: "wait", path, wait: { kind: "input", title: "Go on?", schema: {}, who: "operator" } },
  });
  await fakeWorker.report(fence, [records.ended("suspended", { waits: [path], lastBulkSeq: 1 })], {
    from: 2,
  });
}

const completed = (fakeWorker: FakeWorker, fence: Assignment) =>
  fakeWorker.report(fence, [records.ended("completed", { lastBulkSeq: 1 })], { from: 2 });

/** Runs only the periodic jobs with these names until none has more to do, so that no lease ends. */
async function workOnly(...names: string[]): Promise<void> {
  for (const periodicJob of LOOPS.filter(({ name }) => names.includes(name)))
    while ((await periodicJob.runOnce(testEnv.deps)).worked);
}

async function advance(days: number): Promise<void> {
  testEnv.clock.advance(days * DAY_MS);
  await heartbeatPeriodicJob.runOnce(testEnv.deps);
}

/** The tables with lines of a run. */
async function tablesOf(fence: Assignment): Promise<string[]> {
  const found = await testEnv.deps.database.sql<{ name: string }[]>`
    select distinct tableoid::regclass::text as name from log_chunk where attempt_id = ${fence.attemptId}`;
  return found.map(({ name }) => name);
}

test.each([
  ["of a month's partition", 0, /_y\d{4}m\d{2}$/],
  ["outside the partitions of months", 100, /_default$/],
] as const)("lines %s stay until the retention after their run's end", async (_, daysAhead, table) => {
  await workOnly("log-partitions");
  await advance(daysAhead);
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const [going, suspended, lately, ...old] = await atWork(tenancy, fakeWorker, 5);
  if (going === undefined || suspended === undefined || lately === undefined) expect.fail("too few");
  await suspend(fakeWorker, suspended);
  for (const fence of old) await completed(fakeWorker, fence);
  const [held = ""] = await tablesOf(going);
  expect(held).toMatch(table);

  await advance(64);
  await completed(fakeWorker, lately);
  await advance(1);
  await workOnly("archive", "log-retention");
  for (const fence of old) expect(await tablesOf(fence)).toEqual([]);
  const kept = { going, suspended, lately };
  for (const [name, fence] of Object.entries(kept))
    expect([name, await tablesOf(fence)]).toEqual([name, [held]]);
  const { scope } = tenancy;
  const { entries } = await getLogs(testEnv.deps, scope, { runId: going.runId, after: "0:0", limit: 9 });
  expect(entries).toMatchObject([{ text: "one" }, { text: "two" }]);

  await completed(fakeWorker, going);
  await advance(65);
  await workOnly("archive", "log-retention");
  for (const fence of [going, lately]) expect(await tablesOf(fence)).toEqual([]);
  expect(await tablesOf(suspended)).toEqual([held]);
  await cancelRun(testEnv.deps, scope, { runId: suspended.runId, reason: "enough" });
  await advance(65);
  await workOnly("archive", "log-retention");
  expect(await tablesOf(suspended)).toEqual([]);
  const [left] = await testEnv.deps.database.sql`select to_regclass(${held}) is not null as there`;
  expect(left?.there).toBe(held === "log_chunk_default");
});
