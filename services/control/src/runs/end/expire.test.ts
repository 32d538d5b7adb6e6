import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { createRuns } from "../create/create-many.ts";
import { duePeriodicJob } from "../create/due.ts";
import { getRun } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";
import { expirePeriodicJob } from "./expire.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const open = () => openTenancy(testEnv, { expireAfterMs: 60_000 });
const ask = async (tenancy: Tenancy, over = {}) =>
  (await createRun(testEnv.deps, tenancy.scope, tenancy.request(over))).id;
const look = (tenancy: Tenancy, runId: string) => getRun(testEnv.deps, tenancy.scope, { runId });

async function pass(ms: number): Promise<void> {
  await testEnv.pass(ms);
  await duePeriodicJob.runOnce(testEnv.deps);
  await expirePeriodicJob.runOnce(testEnv.deps);
}

test("A run that no worker takes in time fails with the cause expired, and returns its slots", async () => {
  const tenancy = await openTenancy(testEnv, { expireAfterMs: 60_000, concurrency: { limit: 1 } });
  const ready = await ask(tenancy);
  const blocked = await ask(tenancy);
  expect([(await look(tenancy, ready)).state, (await look(tenancy, blocked)).state]).toEqual([
    "ready",
    "blocked",
  ]);
  await pass(59_000);
  expect((await look(tenancy, ready)).state).toBe("ready");
  await pass(1_000);
  for (const id of [ready, blocked]) {
    expect(await look(tenancy, id)).toMatchObject({ state: "failed", cause: "expired", result: null });
  }
  const later = await ask(tenancy);
  expect((await look(tenancy, later)).state).toBe("ready");
});

test("The time counts from its due time, and a run that has started is left alone", async () => {
  const tenancy = await open();
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const scheduledAt = new Date(testEnv.clock.nowMs() + 120_000).toISOString();
  const id = await ask(tenancy, { scheduledAt });
  await pass(120_000);
  expect((await look(tenancy, id)).state).toBe("ready");
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  await pass(30_000);
  await fakeWorker.report(given, [records.task("t", "begin")], { from: 2 });
  await pass(60_000);
  expect((await look(tenancy, id)).state).toBe("running");
});

test("A request's own time precedes its deployment's, for one run and for each of many", async () => {
  const tenancy = await open();
  const one = await ask(tenancy, { expireAfterMs: 20_000 });
  const [soon, late] = [tenancy.request({ expireAfterMs: 20_000 }), tenancy.request()];
  const runs = [soon, late].map(({ deployment: _, ...rest }) => rest);
  await createRuns(testEnv.deps, tenancy.scope, { deployment: "flow", runs });
  const again = await createRuns(testEnv.deps, tenancy.scope, {
    deployment: "flow",
    runs: runs.map((run) => ({ ...run, expireAfterMs: 30_000 })),
  });
  expect(again.items.map(({ outcome, problem }) => [outcome, problem?.code])).toEqual([
    ["refused", "run-id-conflict"],
    ["refused", "run-id-conflict"],
  ]);
  await pass(20_000);
  const states = () =>
    Promise.all([one, soon.id, late.id].map(async (id) => (await look(tenancy, id)).cause));
  expect(await states()).toEqual(["expired", "expired", null]);
  await pass(40_000);
  expect(await states()).toEqual(["expired", "expired", "expired"]);
});
