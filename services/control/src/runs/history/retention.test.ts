import { type CalledRun, derivedId, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, START_MS, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { createRun, listRuns, runsPeriodicJobs } from "../index.ts";
import { listCheckpoints } from "../rerun/checkpoints.ts";
import { deleteCheckpointsOf } from "../rerun/delete-checkpoints.ts";
import { rerunRun } from "../rerun/rerun.ts";
import { startedIn } from "../waits/waiting-flow.fixture.ts";

const DAY_MS = 86_400_000;
const LONG_AGO = new Date(START_MS - 100 * DAY_MS).toISOString();
const LATELY = new Date(START_MS - DAY_MS).toISOString();

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase(), { historyRetentionMs: 30 * DAY_MS });
});
afterAll(() => testEnv.close());

async function runPeriodicJob(wanted: string): Promise<void> {
  const periodicJob = runsPeriodicJobs.find(({ name }) => name === wanted);
  while ((await periodicJob?.runOnce(testEnv.deps))?.worked);
}

/** Archives an ended run, with an end that is long ago. */
async function archive(runId: string): Promise<void> {
  await testEnv.deps.database.sql`update run set ended_at = ${LONG_AGO} where id = ${runId}`;
  await runPeriodicJob("archive");
}

/** Deletes an ended run, with an end before the retention. */
async function forget(runId: string): Promise<void> {
  const { sql } = testEnv.deps.database;
  await archive(runId);
  await runPeriodicJob("history-retention");
  expect(await sql`select from run_history where id = ${runId}`).toHaveLength(0);
}

const result = { uri: "file:///store/r.json", codec: "json", sizeBytes: 2, sha256: "a".repeat(64) };

/** Starts a child of a running flow, or finds the one that this call has started. */
async function startChild(flow: Awaited<ReturnType<typeof startedIn>>): Promise<CalledRun> {
  const { attemptId, epoch, nonce } = flow.given;
  const asked = { kind: "start-run", path: "child", deployment: "flow", parameters: {} } as const;
  const request = { attemptId, epoch, nonce, callId: await derivedId(flow.id, "child"), call: asked };
  return (await call(testEnv.deps, flow.fakeWorker.worker, request)) as CalledRun;
}

const keysOf = (runId: string) => testEnv.deps.database.sql`select from run_key where run_id = ${runId}`;

test("a child whose history is deleted is not started again while its parent is live, and answers how it ended", async () => {
  const tenancy = await openTenancy(testEnv, { mayStart: ["flow"] });
  const flow = await startedIn(testEnv, tenancy);
  const { runId } = await startChild(flow);
  const wait = { kind: "run", runId } as const;
  await flow.ask("end of child", wait);
  const other = new FakeWorker(testEnv, await tenancy.worker("other"));
  const child = await other.take();
  expect(child.runId).toBe(runId);
  const error = { name: "Error", message: "no coal" };
  await other.report(child, [records.started, records.ended("failed", { cause: "error", error })]);
  await runPeriodicJob("waits");
  expect(await flow.ask("end of child", wait)).toMatchObject({
    state: "satisfied",
    run: { state: "failed" },
  });
  await forget(runId);
  const known = { runId, state: "failed", cause: "error", error };
  expect(await startChild(flow)).toMatchObject(known);
  expect(await flow.ask("end of child", wait)).toMatchObject({ state: "satisfied", run: known });
  expect(await flow.ask("another wait for it", wait)).toMatchObject({ state: "satisfied", run: known });
  expect((await listRuns(testEnv.deps, tenancy.scope, { limit: 10 })).items.map(({ id }) => id)).toEqual([
    flow.id,
  ]);
  expect(await keysOf(runId)).toHaveLength(1);
  await flow.fakeWorker.report(flow.given, [records.ended("completed")], { from: 2 });
  await runPeriodicJob("history-retention");
  expect(await keysOf(runId)).toHaveLength(0);
});

const lies = ["in the partition of its month", "in the default partition"] as const;
test.each(lies)("a child that an earlier release archived is not started again: %s", async (where) => {
  const tenancy = await openTenancy(testEnv, { mayStart: ["flow"] });
  const { sql } = testEnv.deps.database;
  if (where === "in the partition of its month") {
    const clock = { ...testEnv.deps.clock, nowMs: () => Date.parse(LONG_AGO) };
    const job = runsPeriodicJobs.find(({ name }) => name === "history-partitions");
    expect(job).toBeDefined();
    await job?.runOnce({ ...testEnv.deps, clock });
  }
  const flow = await startedIn(testEnv, tenancy);
  const { runId } = await startChild(flow);
  const other = new FakeWorker(testEnv, await tenancy.worker("other"));
  await other.report(await other.take(), [records.started, records.ended("completed", { result })]);
  await archive(runId);
  // Such a release does not know these columns.
  await sql`update run_key set parent_id = null, outcome = null where run_id = ${runId}`;
  await runPeriodicJob("history-retention");
  expect(await sql`select from run_history where id = ${runId}`).toHaveLength(0);
  expect(await startChild(flow)).toMatchObject({
    runId,
    state: "completed",
    cause: null,
    result,
    error: null,
  });
  await flow.fakeWorker.report(flow.given, [records.ended("completed")], { from: 2 });
  await runPeriodicJob("history-retention");
  expect(await keysOf(runId)).toHaveLength(0);
});

test("a child's result is not answered if its checkpoints were deleted before its history was", async () => {
  const tenancy = await openTenancy(testEnv, { mayStart: ["flow"] });
  const flow = await startedIn(testEnv, tenancy);
  const { runId } = await startChild(flow);
  const other = new FakeWorker(testEnv, await tenancy.worker("other"));
  await other.report(await other.take(), [records.started, records.ended("completed", { result })]);
  await archive(runId);
  expect(await startChild(flow)).toMatchObject({ runId, state: "completed", result });
  await deleteCheckpointsOf(testEnv.deps, { workspaceId: tenancy.scope.workspaceId, runId });
  await runPeriodicJob("history-retention");
  expect(await testEnv.deps.database.sql`select from run_history where id = ${runId}`).toHaveLength(0);
  expect(await startChild(flow)).toEqual({
    runId,
    state: "completed",
    cause: null,
    result: null,
    error: null,
  });
  await flow.fakeWorker.report(flow.given, [records.ended("completed")], { from: 2 });
});

test("a rerun whose origin's history is deleted says so, and does not repeat the tasks that it must reuse", async () => {
  const tenancy = await openTenancy(testEnv);
  const flow = await startedIn(testEnv, tenancy);
  const { fakeWorker } = flow;
  await fakeWorker.report(flow.given, [records.ended("failed", { cause: "error" })], { from: 2 });
  const id = uuidv7(testEnv.clock.nowMs());
  await rerunRun(testEnv.deps, tenancy.scope, { id, runId: flow.id, fromFailure: true, sameVersion: false });
  const rerun = await fakeWorker.take();
  const left = () => listCheckpoints(testEnv.deps, fakeWorker.worker, { ...rerun, after: null });
  expect((await left()).items).toEqual([]);
  await forget(flow.id);
  await expect(left()).rejects.toMatchObject({
    code: "run-not-found",
    message: expect.stringContaining(flow.id),
  });
});

test("a rerun that was suspended continues from its own records, although its origin's history is deleted", async () => {
  const tenancy = await openTenancy(testEnv);
  const flow = await startedIn(testEnv, tenancy);
  const { fakeWorker } = flow;
  await fakeWorker.report(flow.given, [records.ended("failed", { cause: "error" })], { from: 2 });
  const id = uuidv7(testEnv.clock.nowMs());
  await rerunRun(testEnv.deps, tenancy.scope, { id, runId: flow.id, fromFailure: true, sameVersion: false });
  const first = await fakeWorker.take();
  const { attemptId, epoch, nonce } = first;
  await fakeWorker.report(first, [
    records.started,
    records.task("load", "reuse", { tries: 0, codeVersion: "l1", result }),
  ]);
  const wait = { kind: "wait", path: "for", wait: { kind: "for", ms: 0 } } as const;
  const callId = await derivedId(id, "for");
  await call(testEnv.deps, fakeWorker.worker, { attemptId, epoch, nonce, callId, call: wait });
  await fakeWorker.report(first, [records.ended("suspended", { waits: ["for"] })], { from: 3 });
  await forget(flow.id);
  const second = await fakeWorker.take();
  const { items } = await listCheckpoints(testEnv.deps, fakeWorker.worker, { ...second, after: null });
  expect(items).toMatchObject([{ path: "load", own: true, result }]);
});

test("waits and jobs of a deleted run are deleted with the history of their time", async () => {
  const tenancy = await openTenancy(testEnv);
  const { workspaceId } = tenancy.scope;
  const run = tenancy.request();
  await createRun(testEnv.deps, tenancy.scope, run);
  const { sql } = testEnv.deps.database;
  const gone = crypto.randomUUID();
  const rows = [
    { runId: gone, at: LONG_AGO, path: "gone" },
    { runId: gone, at: LATELY, path: "lately" },
    { runId: gone, at: null, path: "open" },
    { runId: run.id, at: LONG_AGO, path: "going on" },
  ];
  for (const { runId, at, path } of rows) {
    await sql`insert into wait (workspace_id, id, run_id, deployment, path, kind, state, created_at, settled_at)
      values (${workspaceId}, gen_random_uuid(), ${runId}, 'flow', ${path}, 'until',
        ${at === null ? "open" : "satisfied"}, ${LONG_AGO}, ${at})`;
    await sql`insert into job (workspace_id, id, run_id, pool_id, deployment, version_id, version, name, state,
        intended_by, retries, cancels, created_at, ended_at)
      values (${workspaceId}, gen_random_uuid(), ${runId}, gen_random_uuid(), 'flow', gen_random_uuid(), 1, ${path},
        ${at === null ? "intended" : "ended"}, gen_random_uuid(), 0, false, ${LONG_AGO}, ${at})`;
  }
  await runPeriodicJob("history-retention");
  const kept = ["going on", "lately", "open"];
  expect(
    (await sql`select path from wait where run_id in ${sql([gone, run.id])} order by path`).map(
      ({ path }) => path,
    ),
  ).toEqual(kept);
  expect((await sql`select name from job order by name`).map(({ name }) => name)).toEqual(kept);
});
