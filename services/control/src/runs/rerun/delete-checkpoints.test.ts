import { uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { archivePeriodicJob } from "../history/periodic-jobs.ts";
import { getRun, listTaskRuns } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";
import { deleteCheckpoints } from "./bulk.ts";
import { listCheckpoints } from "./checkpoints.ts";
import { checkpointRetentionPeriodicJob } from "./delete-checkpoints.ts";
import { planRerun, rerunRun } from "./rerun.ts";

const DAY_MS = 24 * 3_600_000;

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase(), { checkpointRetentionMs: 30 * DAY_MS });
});
afterAll(() => testEnv.close());

const refIn = (runId: string, name: string) => ({
  uri: `file:///store/runs/${runId}/attempt-1/${name}.json`,
  codec: "json",
  sizeBytes: 2,
  sha256: "a".repeat(64),
});
const again = { fromFailure: true, sameVersion: false };

/** A run that failed after `load`, of which it kept a result and a value beside it. */
async function failedRun(tenancy: Tenancy, fakeWorker: FakeWorker) {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [
    records.started,
    records.task("load", "begin"),
    records.task("load", "complete", { codeVersion: "l1", result: refIn(id, "load") }),
    { type: "kept", at: "2026-01-15T12:00:01.000Z", path: ":now" },
    records.ended("failed", { cause: "error" }),
  ]);
  return id;
}

async function tenant() {
  const tenancy = await openTenancy(testEnv, { tasks: { load: "l1" } });
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const drop = (runIds: readonly string[]) => deleteCheckpoints(testEnv.deps, tenancy.scope, { runIds });
  const plan = async (runId: string) => {
    const { reuse, run, reasons } = await planRerun(testEnv.deps, tenancy.scope, { runId, ...again });
    return { reuse, run, why: reasons.map((one) => one.reason) };
  };
  return { tenancy, fakeWorker, drop, plan };
}

async function archive(): Promise<void> {
  testEnv.clock.advance(testEnv.deps.config.archiveAfterMs + 1_000);
  while ((await archivePeriodicJob.runOnce(testEnv.deps)).worked);
}

for (const where of ["live", "archived"] as const)
  test(`what a run left is forgotten once, and its rerun's plan says so: ${where}`, async () => {
    const { tenancy, fakeWorker, drop, plan } = await tenant();
    const id = await failedRun(tenancy, fakeWorker);
    if (where === "archived") await archive();
    expect(await plan(id)).toEqual({ reuse: 1, run: 0, why: [] });
    expect((await getRun(testEnv.deps, tenancy.scope, { runId: id })).checkpointsDeletedAt).toBeNull();
    expect(await drop([id])).toEqual({ items: [{ runId: id, refs: 2, problem: null }] });
    const { checkpointsDeletedAt } = await getRun(testEnv.deps, tenancy.scope, { runId: id });
    expect(checkpointsDeletedAt).not.toBeNull();
    expect(await drop([id])).toEqual({ items: [{ runId: id, refs: 0, problem: null }] });
    expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({ checkpointsDeletedAt });
    const { items } = await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 9 });
    expect(items).toMatchObject([{ path: "load", state: "completed", result: null, codeVersion: "l1" }]);
    expect(await plan(id)).toEqual({ reuse: 0, run: 1, why: ["the checkpoint of load was deleted"] });
    const made = await rerunRun(testEnv.deps, tenancy.scope, {
      runId: id,
      id: uuidv7(testEnv.clock.nowMs()),
      ...again,
    });
    const given = await fakeWorker.take();
    expect(given.runId).toBe(made.id);
    expect((await listCheckpoints(testEnv.deps, fakeWorker.worker, { ...given, after: null })).items).toEqual(
      [],
    );
    await fakeWorker.report(given, [records.started, records.ended("completed")]);
  });

test("what a rerun took over goes with the run that left it", async () => {
  const { tenancy, fakeWorker, drop, plan } = await tenant();
  const first = await failedRun(tenancy, fakeWorker);
  const id = uuidv7(testEnv.clock.nowMs());
  await rerunRun(testEnv.deps, tenancy.scope, { runId: first, id, ...again });
  await fakeWorker.report(await fakeWorker.take(), [
    records.started,
    records.task("load", "reuse", { tries: 0, codeVersion: "l1", result: refIn(first, "load") }),
    records.ended("failed", { cause: "error" }),
  ]);
  expect(await plan(id)).toMatchObject({ reuse: 1, run: 0 });
  await drop([first]);
  expect(await plan(id)).toEqual({ reuse: 0, run: 1, why: ["the checkpoint of load was deleted"] });
});

test("a run that has not ended keeps its own, and another workspace's run is none", async () => {
  const { tenancy, fakeWorker, drop } = await tenant();
  const ended = await failedRun(tenancy, fakeWorker);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const { items } = await drop([id, ended, id]);
  expect(items.map(({ runId, refs, problem }) => [runId, refs, problem?.code ?? null])).toEqual([
    [id, 0, "run-transition-not-allowed"],
    [ended, 2, null],
  ]);
  expect(items[0]?.problem?.detail).toContain("when it has ended");
  const other = await tenant();
  const kept = await failedRun(other.tenancy, other.fakeWorker);
  expect((await drop([kept])).items).toMatchObject([{ refs: 0, problem: { code: "run-not-found" } }]);
  expect(await other.plan(kept)).toMatchObject({ reuse: 1 });
});

test("by age the control plane deletes refs by itself, of no younger run, and without an age of none", async () => {
  const { tenancy, fakeWorker, plan } = await tenant();
  const old = await failedRun(tenancy, fakeWorker);
  await archive();
  testEnv.clock.advance(31 * DAY_MS);
  const young = await failedRun(tenancy, fakeWorker);
  await archive();
  const never = { ...testEnv.deps, config: { ...testEnv.deps.config, checkpointRetentionMs: null } };
  expect(await checkpointRetentionPeriodicJob.runOnce(never)).toEqual({ worked: false });
  expect(await plan(old)).toMatchObject({ reuse: 1 });
  while ((await checkpointRetentionPeriodicJob.runOnce(testEnv.deps)).worked);
  expect(await plan(old)).toEqual({ reuse: 0, run: 1, why: ["the checkpoint of load was deleted"] });
  expect(await plan(young)).toMatchObject({ reuse: 1 });
  const [left] = await testEnv.deps.database.db.execute<{ count: number }>(
    sql`select count(*)::int as count from task_run_history where run_id = ${old} and (result is not null or kind = 'kept')`,
  );
  expect(left?.count).toBe(0);
});
