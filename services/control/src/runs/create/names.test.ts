import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRun, listRuns } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const named = (name: string) => ({ type: "run-name", at: "2026-01-15T12:00:01.000Z", name });

test("a run has the name that its flow reports at its start, in lists too, and keeps it after its end", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id, name } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  expect(name).toBeNull();
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started, named("train xgb"), named("train xgb \0")]);
  expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({
    name: "train xgb \u{fffd}",
    state: "running",
  });
  await fakeWorker.report(given, [records.ended("completed")], { from: 4 });
  const { items } = await listRuns(testEnv.deps, tenancy.scope, { limit: 10 });
  expect(items).toMatchObject([{ id, name: "train xgb \u{fffd}", state: "completed" }]);
});

test("a name that comes before the start, or is too long, is rejected alone", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const given = await fakeWorker.take();
  const answer = await fakeWorker.report(given, [named("early"), records.started, named("x".repeat(201))]);
  expect(JSON.stringify(answer)).toMatch(/run-transition-not-allowed[\s\S]*bad-request/);
  expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({ name: null });
});
