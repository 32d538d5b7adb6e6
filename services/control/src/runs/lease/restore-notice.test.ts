import { afterAll, beforeEach, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getOverview } from "../read/overview.ts";
import { getRun } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let opened: Promise<TestEnv> | undefined;
let testEnv: TestEnv;
beforeEach(async () => {
  opened ??= createTestDatabase().then(openTestEnv);
  testEnv = await opened;
  // The notices of tests before are over.
  await testEnv.pass(60_000);
  testEnv.clock.advance(25 * 3_600_000);
  await testEnv.pass(60_000);
  await incarnation();
});
afterAll(() => testEnv.close());

async function incarnation(): Promise<string> {
  testEnv.deps.incarnations.forget();
  return (await testEnv.deps.incarnations.current()).id;
}

/** The database becomes another one. */
async function another(): Promise<string> {
  testEnv.clock.advance(1_000);
  await testEnv.deps.database.sql`update incarnation set identity = 'another'`;
  return await incarnation();
}

async function started() {
  const tenancy = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const restored = async () => (await getOverview(testEnv.deps, tenancy.scope, { hours: 24 })).restored;
  const get = () => getRun(testEnv.deps, tenancy.scope, { runId: id });
  return { tenancy, fakeWorker, given, get, restored };
}

test("a plain restart is no restore: the worker knows no more than the database", async () => {
  const { fakeWorker, given, restored } = await started();
  await another();
  await fakeWorker.report(given, [], { acked: { control: 1, bulk: 0 } });
  expect(await restored()).toBeNull();
});

test("an outcome that is unknown after a restart is no restore by itself", async () => {
  const { fakeWorker, get, restored } = await started();
  const reconciled = await another();
  await fakeWorker.poll({ free: 0, waitMs: 0, reconciled });
  expect(await get()).toMatchObject({ state: "crashed", error: { name: "OutcomeUnknown" } });
  expect(await restored()).toBeNull();
});

test.each([
  ["control record", { control: 2, bulk: 0 }],
  ["log line", { control: 1, bulk: 1 }],
])("a worker with one more acknowledged %s reveals a restore, which is shown for a day", async (_, acked) => {
  const { tenancy, fakeWorker, given, restored } = await started();
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const other = new FakeWorker(testEnv, await tenancy.worker("other"));
  await other.report(await other.take(), [records.started]);
  const reconciled = await another();
  const at = new Date(testEnv.clock.nowMs()).toISOString();
  await fakeWorker.report(given, [], { acked });
  expect(await restored()).toEqual({ at, offered: 1, unknownAttempts: 0, unknownOutcomes: 0 });
  await other.poll({ free: 0, waitMs: 0, reconciled });
  expect(await restored()).toMatchObject({ offered: 1, unknownOutcomes: 1 });
  const stranger = await openTenancy(testEnv);
  expect(await getOverview(testEnv.deps, stranger.scope, { hours: 24 })).toMatchObject({ restored: null });
  expect(tenancy.scope.workspaceId).not.toBe(stranger.scope.workspaceId);
  await another();
  expect(await restored()).toMatchObject({ at, offered: 1 });
  testEnv.clock.advance(24 * 3_600_000);
  expect(await restored()).toBeNull();
});

test("a restored claim and an unknown attempt reveal a restore, each counted once", async () => {
  const { tenancy, fakeWorker, given, restored } = await started();
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const next = await fakeWorker.take();
  await another();
  await fakeWorker.report({ ...next, epoch: next.epoch + 1 }, [records.started]);
  const unknown = { ...given, attemptId: "0193a0b1-7c00-7000-8000-00000000000f" };
  for (const _ of [1, 2]) await fakeWorker.report(unknown, [], { acked: { control: 2, bulk: 0 } });
  expect(await restored()).toMatchObject({ offered: 1, unknownAttempts: 1, unknownOutcomes: 0 });
});
