import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRun } from "../read/read.ts";
import { cancelRun, createRun } from "../requests/requests.ts";

let database: TestDatabase;
let testEnv: TestEnv;
beforeAll(async () => {
  database = await createTestDatabase();
  testEnv = await openTestEnv(database);
});
afterAll(() => testEnv.close());

async function incarnation(): Promise<void> {
  testEnv.deps.incarnations.forget();
  await testEnv.deps.incarnations.current();
}

test("a cancellation that the database forgot is applied from the report of the worker that obeyed it", async () => {
  await incarnation();
  const tenancy = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const get = () => getRun(testEnv.deps, tenancy.scope, { runId: id });
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const copy = await database.snapshot();
  await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "wrong day" });
  await fakeWorker.report(given, [records.ended("cancelled")], { from: 2 });
  expect(await get()).toMatchObject({ state: "cancelled", cause: "user" });
  testEnv.clock.advance(1_000);
  await copy.goBack();
  await incarnation();
  expect(await get()).toMatchObject({ state: "running" });
  const answer = await fakeWorker.report(given, [records.ended("cancelled")], { from: 2 });
  expect(answer).toMatchObject({ outcome: { state: "cancelled", cause: "user" } });
  expect(await get()).toMatchObject({ state: "cancelled", cause: "user" });
});

test("a cancellation that nobody requested is a failure in a database that never went back", async () => {
  const tenancy = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  testEnv.clock.advance(3_600_000);
  await incarnation();
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  await testEnv.deps.database
    .sql`update worker set reconciled = (select id from incarnation order by number desc limit 1)`;
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started, records.ended("cancelled")]);
  expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({
    state: "failed",
    cause: "error",
  });
});
