import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../test-env.fixture.ts";
import { getRun, listRuns, listTaskRuns } from "./read/read.ts";
import { cancelRun, createRun } from "./requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

test("a run is created, claimed, started, reported on and completed", async () => {
  const tenant = await openTenancy(testEnv);
  const request = tenant.request({ parameters: { island: "Dream" } });
  const created = await createRun(testEnv.deps, tenant.scope, request);
  expect(created).toMatchObject({ id: request.id, state: "ready", attempts: 1 });
  expect(created.why).toContain("towpath worker start --pool local");
  const fakeWorker = new FakeWorker(testEnv, await tenant.worker("laptop"));
  const given = await fakeWorker.take();
  expect(given).toMatchObject({ runId: request.id, epoch: 1, ordinal: 1, parameters: { island: "Dream" } });
  const answer = await fakeWorker.report(given, [
    records.started,
    records.task("clean", "begin"),
    records.task("clean", "complete"),
    records.ended("completed"),
  ]);
  expect(answer).toMatchObject({ status: "accepted", controlAcked: 4, rejected: [] });
  expect(answer.outcome).toEqual({ state: "completed", cause: null });
  const run = await getRun(testEnv.deps, tenant.scope, { runId: request.id });
  expect(run).toMatchObject({ state: "completed", cause: null, why: null });
  expect(run.attemptList).toMatchObject([{ state: "completed", worker: { name: "laptop" } }]);
  const tasks = await listTaskRuns(testEnv.deps, tenant.scope, { runId: request.id, limit: 10 });
  expect(tasks.items).toMatchObject([{ path: "clean", state: "completed", order: 2 }]);
  const listed = await listRuns(testEnv.deps, tenant.scope, { limit: 10 });
  expect(listed.items.map((one) => one.id)).toEqual([request.id]);
});

test("a run that nobody holds is cancelled at once, and asking again changes nothing", async () => {
  const tenant = await openTenancy(testEnv);
  const request = tenant.request();
  await createRun(testEnv.deps, tenant.scope, request);
  const cancelled = await cancelRun(testEnv.deps, tenant.scope, { runId: request.id, reason: "no need" });
  expect(cancelled).toMatchObject({ state: "cancelled", cause: "user", cancelReason: "no need" });
  const again = await cancelRun(testEnv.deps, tenant.scope, { runId: request.id, reason: "other" });
  expect(again).toEqual(cancelled);
});
