import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records, renew } from "../../fake-worker.fixture.ts";
import { heartbeatPeriodicJob, retryPeriodicJob } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { lapsePeriodicJob, losePeriodicJob } from "../periodic-jobs.ts";
import { getRun } from "../read/read.ts";
import { cancelRun, createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  await testEnv.pass(3_600_000);
});
afterAll(() => testEnv.close());

const LEASE_MS = 30_000;
const LOST_AFTER_MS = 60_000;

async function started(spec: Parameters<typeof openTenancy>[1] = { lostAfterMs: LOST_AFTER_MS }) {
  const tenancy = await openTenancy(testEnv, spec);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const get = () => getRun(testEnv.deps, tenancy.scope, { runId: id });
  return { tenancy, id, fakeWorker, given, get };
}

test("a silent worker's attempt is disconnected when its lease ends, and lost only after lostAfter", async () => {
  const { get } = await started();
  await testEnv.pass(LEASE_MS + 1_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  const disconnected = await get();
  expect(disconnected).toMatchObject({ state: "running", labels: ["disconnected"] });
  expect(disconnected.why).toContain("has not reported");
  expect(disconnected.why).toMatch(/same state folder\. .* run `towpath worker gone \S+`\.$/);
  await testEnv.pass(LOST_AFTER_MS - 2_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "running" });
  await testEnv.pass(2_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "crashed", cause: "lost" });
});

test("an attempt that cannot be lost for a fault of ours does not keep the others from it", async () => {
  const [stuck, other] = [await started(), await started()];
  const { db } = testEnv.deps.database;
  await db.execute(sql`create function refuse() returns trigger language plpgsql as $$ begin
    raise exception 'no'; end $$`);
  await db.execute(sql`create trigger refuse before update on run for each row
    when (old.id = ${sql.raw(`'${stuck.id}'`)}::uuid) execute function refuse()`);
  await testEnv.pass(LEASE_MS + LOST_AFTER_MS + 5_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await other.get()).toMatchObject({ state: "crashed" });
  expect(await stuck.get()).toMatchObject({ state: "running" });
  await db.execute(sql`drop trigger refuse on run`);
  await testEnv.pass(5_001);
  await retryPeriodicJob([losePeriodicJob]).runOnce(testEnv.deps);
  expect(await stuck.get()).toMatchObject({ state: "crashed" });
});

test("until it is lost, a write with the right fence is accepted and renews", async () => {
  const { get, fakeWorker, given } = await started();
  await testEnv.pass(LEASE_MS + LOST_AFTER_MS + 5_000);
  expect(await fakeWorker.report(given, [], { bulk: [records.log(0, ["still here"])] })).toMatchObject({
    status: "accepted",
  });
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "running", labels: [] });
  await testEnv.pass(LEASE_MS - 1_000);
  const { leases } = await renew(testEnv.deps, fakeWorker.worker, { held: [given] });
  expect(leases).toMatchObject([{ status: "renewed", leaseMs: LEASE_MS }]);
  await testEnv.pass(LEASE_MS - 1_000);
  expect(await get()).toMatchObject({ labels: [] });
});

test("what arrives after it is lost is late: nothing of it is applied", async () => {
  const { get, fakeWorker, given } = await started();
  await testEnv.pass(LEASE_MS + LOST_AFTER_MS + 5_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  const before = await get();
  const answer = await fakeWorker.report(given, [records.ended("completed")], { from: 2 });
  expect(answer).toMatchObject({ status: "stale", outcome: { state: "crashed", cause: "lost" } });
  const { attemptList, ...after } = await get();
  expect({ ...after, attemptList: attemptList.map((one) => ({ ...one, lateReports: [] })) }).toEqual(before);
  expect(attemptList[0]?.lateReports).toMatchObject([{ epoch: 1, records: 1, kinds: ["ended"] }]);
});

test("nothing is lost before a full grace has passed since workers could reach us again", async () => {
  const { get } = await started();
  testEnv.clock.advance(LEASE_MS + LOST_AFTER_MS + 3_600_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "running" });
  await heartbeatPeriodicJob.runOnce(testEnv.deps);
  await testEnv.pass(LOST_AFTER_MS - 1_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "running" });
  await testEnv.pass(2_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "crashed" });
});

test.each([10, 3_000, 14_000])(
  "nor after an absence of %i ms: a restart is known however short it was",
  async (awayMs) => {
    const { get } = await started();
    await testEnv.pass(LEASE_MS + LOST_AFTER_MS - 1_000);
    // What stands in the database is of another process, which ended now; ours begins when it is back.
    await testEnv.deps.database.db.execute(
      sql`update presence set process = gen_random_uuid() where heartbeat_at = (select max(heartbeat_at) from presence)`,
    );
    testEnv.clock.advance(awayMs + 1_000);
    await heartbeatPeriodicJob.runOnce(testEnv.deps);
    await testEnv.pass(LOST_AFTER_MS - 1_000);
    await losePeriodicJob.runOnce(testEnv.deps);
    expect(await get()).toMatchObject({ state: "running", labels: ["disconnected"] });
    await testEnv.pass(2_000);
    await losePeriodicJob.runOnce(testEnv.deps);
    expect(await get()).toMatchObject({ state: "crashed", cause: "lost" });
  },
);

test("a claim that is not confirmed in time goes back into the queue, with a back-off that grows", async () => {
  const tenancy = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("slow"));
  const backOffs: number[] = [];
  for (let round = 0; round < 3; round++) {
    await fakeWorker.take();
    await testEnv.pass(16_000);
    await lapsePeriodicJob.runOnce(testEnv.deps);
    const run = await getRun(testEnv.deps, tenancy.scope, { runId: id });
    expect(run).toMatchObject({ state: "ready", attempts: 1, attemptList: [{ releases: round + 1 }] });
    const [row] = await testEnv.deps.database.db.execute<{ seconds: number }>(
      sql`select extract(epoch from not_before - ${new Date(testEnv.clock.nowMs()).toISOString()}::timestamptz)::int
        as seconds from attempt where run_id = ${id}`,
    );
    backOffs.push(row?.seconds ?? -1);
    expect((await fakeWorker.poll({ free: 1, waitMs: 1 })).assignments).toEqual([]);
    await testEnv.pass(60_000);
  }
  expect(backOffs).toEqual([1, 2, 4]);
});

test("a worker that prepares for long keeps its claim by renewing", async () => {
  const tenancy = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  for (let round = 0; round < 5; round++) {
    await testEnv.pass(10_000);
    const { leases } = await renew(testEnv.deps, fakeWorker.worker, { held: [given] });
    expect(leases).toMatchObject([{ status: "renewed", leaseMs: 15_000 }]);
    await lapsePeriodicJob.runOnce(testEnv.deps);
  }
  await fakeWorker.report(given, [records.started]);
  expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({ state: "running" });
});

test("a start that comes after the claim has lapsed is rejected by itself", async () => {
  const tenancy = await openTenancy(testEnv);
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await testEnv.pass(16_000);
  await lapsePeriodicJob.runOnce(testEnv.deps);
  const answer = await fakeWorker.report(given, [records.started]);
  expect(answer).toMatchObject({ status: "accepted", controlAcked: 1, outcome: null });
  expect(answer.rejected).toMatchObject([{ lane: "control", seq: 1, code: "run-transition-not-allowed" }]);
});

test("a cancelled run whose worker stays away ends cancelled", async () => {
  const { get, tenancy, id } = await started();
  await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
  await testEnv.pass(LEASE_MS + LOST_AFTER_MS + 5_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  const run = await get();
  expect(run).toMatchObject({ state: "cancelled", cause: "user", attemptList: [{ cause: "lost" }] });
});

test("under `stop`, a cancelled run whose worker stays away ends after the lease and the kill grace", async () => {
  const { tenancy, id, get } = await started({ onDisconnect: "stop", killGraceMs: 10_000 });
  await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
  await testEnv.pass(LEASE_MS + 9_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "cancelling" });
  await testEnv.pass(2_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "cancelled", cause: "user" });
});

test("a lost attempt is retried when the policy names lost", async () => {
  const tenancy = await openTenancy(testEnv, {
    lostAfterMs: LOST_AFTER_MS,
    retry: { limit: 1, causes: ["lost"], delayMs: 0 },
  });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  await fakeWorker.report(await fakeWorker.take(), [records.started]);
  await testEnv.pass(LEASE_MS + LOST_AFTER_MS + 5_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  const run = await getRun(testEnv.deps, tenancy.scope, { runId: id });
  expect(run).toMatchObject({
    state: "ready",
    attempts: 2,
    attemptList: [{ state: "crashed" }, { state: "ready" }],
  });
});
