import { DurationsQuery, RunQuery } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { runsPeriodicJobs } from "../periodic-jobs.ts";
import { createRun } from "../requests/requests.ts";
import { HOUR_MS, question, startedIn } from "../waits/waiting-flow.fixture.ts";
import { readRunFacts } from "../why/facts.ts";
import { getVersionTrust, listLatestRuns } from "./by-deployment.ts";
import { listDurations } from "./durations.ts";
import { getRun, listRuns } from "./read.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function archiveAll(): Promise<void> {
  await testEnv.pass(6 * 60_000);
  const periodicJob = runsPeriodicJobs.find((one) => one.name === "archive");
  while ((await periodicJob?.runOnce(testEnv.deps))?.worked);
}

/** How long runs of `flow` usually take, from lists and from the details of a run. */
async function usualOf(scope: { workspaceId: string }, runId: string) {
  const { items } = await listLatestRuns(testEnv.deps, scope, { deployments: ["flow", "other"], each: 1 });
  const facts = await readRunFacts(testEnv.deps.database.reads, { ...scope, runIds: [runId] });
  return [...items.map(({ usualMs }) => usualMs), facts.get(runId)?.usualMs];
}

/** A tenant whose worker has completed one run of `flow` and been given another; one of `other` waits. */
async function open() {
  const tenancy = await openTenancy(testEnv);
  await tenancy.deploy("other");
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("worker-1"));
  const { scope, request } = tenancy;
  const ids: string[] = [];
  const begin = async (deployment: string) => {
    ids.push((await createRun(testEnv.deps, scope, request({ deployment }))).id);
    testEnv.clock.advance(1_000);
    return fakeWorker.take();
  };
  await fakeWorker.report(await begin("flow"), [records.started, records.ended("completed")]);
  return { tenancy, scope, fakeWorker, begin, ids };
}

test("the latest runs of each deployment are listed, newest first, live and archived together", async () => {
  const { scope, fakeWorker, begin, ids } = await open();
  await fakeWorker.report(await begin("flow"), [
    records.started,
    records.ended("failed", { cause: "error" }),
  ]);
  await archiveAll();
  await begin("flow");
  await begin("other");
  const latest = async (each: number) => {
    const asked = { deployments: ["other", "flow", "nobody", "flow"], each };
    const { items } = await listLatestRuns(testEnv.deps, scope, asked);
    return items.map(({ deployment, runs }) => [deployment, runs.map(({ id }) => ids.indexOf(id))]);
  };
  expect(await latest(10)).toEqual([
    ["flow", [2, 1, 0]],
    ["other", [3]],
  ]);
  expect(await latest(2)).toEqual([
    ["flow", [2, 1]],
    ["other", [3]],
  ]);
  const { scope: elsewhere } = await openTenancy(testEnv);
  expect((await listLatestRuns(testEnv.deps, elsewhere, { deployments: ["flow"], each: 5 })).items).toEqual(
    [],
  );
});

test("every route gives the same usual duration, from the latest completed runs, even if most of the latest runs failed", async () => {
  const { scope, fakeWorker, begin, ids } = await open();
  const [first = ""] = ids;
  for (const ms of [40_000, 10_000]) {
    const given = await begin("flow");
    await fakeWorker.report(given, [records.started]);
    testEnv.clock.advance(ms);
    await fakeWorker.report(given, [records.ended("completed")], { from: 2 });
  }
  await fakeWorker.report(await begin("flow"), [
    records.started,
    records.ended("failed", { cause: "error" }),
  ]);
  await begin("other");
  const workspace = { workspaceId: scope.workspaceId };
  expect(await usualOf(workspace, first)).toEqual([10_000, null, 10_000]);
  await archiveAll();
  expect(await usualOf(workspace, first)).toEqual([10_000, null, 10_000]);
});

test("the usual time of runs leaves out how long people took to answer, live and archived", async () => {
  const flow = await startedIn(testEnv);
  const { scope } = flow.tenancy;
  testEnv.clock.advance(5_000);
  await flow.ask("publish", question);
  await flow.suspend(["publish"]);
  testEnv.clock.advance(HOUR_MS);
  await flow.answer("publish", true);
  const next = await flow.resumed();
  testEnv.clock.advance(3_000);
  await next.fakeWorker.report(next.given, [records.ended("completed")], { from: 2 });
  expect(await usualOf(scope, flow.id)).toEqual([8_000, 8_000]);
  await archiveAll();
  expect(await usualOf(scope, flow.id)).toEqual([8_000, 8_000]);
});

/** The times of the run of `flow`, from the list of deployments, the chart, the list, the run and the feed. */
async function timesOf(scope: Parameters<typeof getRun>[1], runId: string) {
  const { deps } = testEnv;
  const { items } = await listLatestRuns(deps, scope, { deployments: ["flow"], each: 1 });
  const runs = [
    items[0]?.runs[0],
    (await listDurations(deps, scope, DurationsQuery.parse({}))).items[0],
    (await listRuns(deps, scope, RunQuery.parse({}))).items[0],
    await getRun(deps, scope, { runId }),
  ];
  const times = runs.map((run) => run && [run.workedMs, run.workingSince]);
  expect(new Set(times.map((one) => JSON.stringify(one))).size).toBe(1);
  const [change] = await deps.database.sql<{ data: Record<string, unknown> }[]>`
    select data from change where run_id = ${runId} and kind = 'run' order by id desc limit 1`;
  expect([change?.data.workedMs, change?.data.workingSince]).toEqual(times[0]);
  return times[0];
}

test("a run has the time of its attempts without the time between them, live and archived", async () => {
  const iso = () => new Date(testEnv.clock.nowMs()).toISOString();
  const flow = await startedIn(testEnv);
  const times = () => timesOf(flow.tenancy.scope, flow.id);
  expect(await times()).toEqual([null, iso()]);
  testEnv.clock.advance(5_000);
  await flow.ask("publish", question);
  await flow.suspend(["publish"]);
  expect(await times()).toEqual([5_000, null]);
  testEnv.clock.advance(HOUR_MS);
  await flow.answer("publish", true);
  const next = await flow.resumed();
  expect(await times()).toEqual([5_000, iso()]);
  testEnv.clock.advance(3_000);
  await next.fakeWorker.report(next.given, [records.ended("completed")], { from: 2 });
  expect(await times()).toEqual([8_000, null]);
  await archiveAll();
  expect((await getRun(testEnv.deps, flow.tenancy.scope, { runId: flow.id })).workedMs).toBe(8_000);
});

test("the only attempt of a run needs no time of its own; an attempt that an earlier release did not count leaves it unknown", async () => {
  const { scope, ids } = await open();
  expect(await timesOf(scope, ids[0] ?? "")).toEqual([null, null]);
  const flow = await startedIn(testEnv);
  await flow.ask("publish", question);
  await flow.suspend(["publish"]);
  await testEnv.deps.database.sql`update run set worked_ms = null where id = ${flow.id}`;
  testEnv.clock.advance(HOUR_MS);
  await flow.answer("publish", true);
  const next = await flow.resumed();
  await next.fakeWorker.report(next.given, [records.ended("failed", { cause: "error" })], { from: 2 });
  expect(await timesOf(flow.tenancy.scope, flow.id)).toEqual([null, null]);
});

test("a version names the first worker that started it, before and after archiving", async () => {
  const { scope, ids } = await open();
  const trust = () => getVersionTrust(testEnv.deps, scope, { name: "flow", version: 1 });
  const expected = { started: { runId: ids[0], worker: "worker-1" }, refused: null };
  expect(await trust()).toMatchObject(expected);
  await archiveAll();
  expect(await trust()).toMatchObject(expected);
});

test("a version that a worker refused has the reason, and does not count as started", async () => {
  const { tenancy, scope, fakeWorker, begin, ids } = await open();
  await tenancy.deploy("flow", { version: 2 });
  const error = { name: "Error", message: "the key test-key is not trusted here" };
  await fakeWorker.report(await begin("flow"), [records.ended("refused", { cause: "refused", error })]);
  expect(await getVersionTrust(testEnv.deps, scope, { name: "flow", version: 2 })).toMatchObject({
    started: null,
    refused: { runId: ids[1], worker: "worker-1", reason: error.message },
  });
});

test("404: a version that does not exist, and another workspace's deployment", async () => {
  const { scope } = await open();
  const absent = { code: "deployment-not-found" };
  await expect(getVersionTrust(testEnv.deps, scope, { name: "flow", version: 9 })).rejects.toMatchObject(
    absent,
  );
  const { scope: elsewhere } = await openTenancy(testEnv, { deployment: "mine" });
  const other = getVersionTrust(testEnv.deps, elsewhere, { name: "other", version: 1 });
  await expect(other).rejects.toMatchObject(absent);
});
