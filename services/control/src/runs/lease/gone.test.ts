import { randomUUID } from "node:crypto";
import { uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records, renew } from "../../fake-worker.fixture.ts";
import { createKey } from "../../identity/index.ts";
import { heartbeatPeriodicJob, type WorkerScope } from "../../kernel/index.ts";
import { openSession } from "../../pools/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { lapsePeriodicJob, losePeriodicJob } from "../periodic-jobs.ts";
import { declareWorkerGone, listWorkers } from "../read/pools.ts";
import { getRun } from "../read/read.ts";
import { cancelRun, createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  await testEnv.pass(3_600_000);
});
afterAll(() => testEnv.close());

const LEASE_MS = 30_000;
const RETRIES_LOST = { limit: 1, causes: ["lost" as const], delayMs: 0 };

async function started(spec: Parameters<typeof openTenancy>[1] = {}) {
  const tenancy = await openTenancy(testEnv, spec);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("build-7"));
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const get = () => getRun(testEnv.deps, tenancy.scope, { runId: id });
  return { tenancy, id, fakeWorker, given, get };
}

const declare = (tenancy: Tenancy, { workerId }: WorkerScope) =>
  declareWorkerGone(testEnv.deps, { scope: tenancy.scope, name: "local", workerId });

const lose = () => losePeriodicJob.runOnce(testEnv.deps);

const listed = async (tenancy: Tenancy, { workerId }: WorkerScope) => {
  const page = { scope: tenancy.scope, name: "local", limit: 50, cursor: undefined };
  const { items } = await listWorkers(testEnv.deps, page);
  return items.find(({ id }) => id === workerId);
};

describe("a worker whose machine is declared gone", () => {
  test("loses its attempts when their leases have ended, and the error names who declared it", async () => {
    const { tenancy, fakeWorker, get } = await started();
    const answer = await declare(tenancy, fakeWorker.worker);
    expect(answer).toMatchObject({ gone: { by: "tester" }, held: 1, holds: [{ ifLost: "crash" }] });
    await lose();
    expect(await get()).toMatchObject({ state: "running" });
    await testEnv.pass(LEASE_MS + 1_000);
    await lose();
    expect(await get()).toMatchObject({ state: "crashed", cause: "lost", error: { name: "WorkerGone" } });
    expect((await get()).error?.message).toMatch(
      /^tester declared at .* that the machine of worker build-7 is gone\.$/,
    );
    expect(await listed(tenancy, fakeWorker.worker)).toMatchObject({ held: 0, gone: { by: "tester" } });
  });

  test("loses them at once if the leases have ended already, and the run is retried if its policy says so", async () => {
    const { tenancy, fakeWorker, get } = await started({ retry: RETRIES_LOST });
    await testEnv.pass(LEASE_MS + 1_000);
    await lose();
    expect(await get()).toMatchObject({ state: "running", labels: ["disconnected"] });
    expect(await declare(tenancy, fakeWorker.worker)).toMatchObject({ holds: [{ ifLost: "retry" }] });
    await lose();
    expect(await get()).toMatchObject({ state: "ready", attempts: 2 });
  });

  test("ends a cancelled run", async () => {
    const { tenancy, id, fakeWorker, get } = await started();
    await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
    expect(await declare(tenancy, fakeWorker.worker)).toMatchObject({ holds: [{ ifLost: "cancel" }] });
    await testEnv.pass(LEASE_MS + 1_000);
    await lose();
    expect(await get()).toMatchObject({ state: "cancelled", cause: "user" });
  });

  test("gives a claim back that it has not started", async () => {
    const tenancy = await openTenancy(testEnv);
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("build-7"));
    await fakeWorker.take();
    expect(await declare(tenancy, fakeWorker.worker)).toMatchObject({ holds: [{ ifLost: "release" }] });
    await testEnv.pass(LEASE_MS + 1_000);
    await lose();
    await lapsePeriodicJob.runOnce(testEnv.deps);
    expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({
      state: "ready",
      attempts: 1,
    });
  });

  test("keeps the attempts whose leases it renews, and is no longer gone when it polls", async () => {
    const { tenancy, fakeWorker, given, get } = await started();
    await declare(tenancy, fakeWorker.worker);
    for (let round = 0; round < 6; round++) {
      await testEnv.pass(10_000);
      await renew(testEnv.deps, fakeWorker.worker, { held: [given] });
      await lose();
    }
    // A renewed lease stays valid for `lostAfterMs`, even if the worker goes away later without a poll.
    await testEnv.pass(LEASE_MS + 1_000);
    await lose();
    expect(await get()).toMatchObject({ state: "running", labels: ["disconnected"] });
    expect(await listed(tenancy, fakeWorker.worker)).toMatchObject({ gone: { by: "tester" } });
    await fakeWorker.look({ held: [given] });
    expect(await listed(tenancy, fakeWorker.worker)).toMatchObject({ gone: null });
  });

  test("stays gone if its last polls are recorded late", async () => {
    const { tenancy, fakeWorker, given, get } = await started();
    await declare(tenancy, fakeWorker.worker);
    await testEnv.pass(9_000);
    await fakeWorker.look({ held: [given] });
    expect(await listed(tenancy, fakeWorker.worker)).toMatchObject({ gone: { by: "tester" } });
    expect(await get()).toMatchObject({ state: "running" });
  });

  test("changes nothing with what it reports later: the report is stored as late", async () => {
    const { tenancy, fakeWorker, given, get } = await started({ retry: RETRIES_LOST });
    await declare(tenancy, fakeWorker.worker);
    await testEnv.pass(LEASE_MS + 1_000);
    await lose();
    const answer = await fakeWorker.report(given, [records.ended("completed")], { from: 2 });
    expect(answer).toMatchObject({ status: "stale", outcome: { state: "crashed", cause: "lost" } });
    expect(await get()).toMatchObject({
      state: "ready",
      attempts: 2,
      attemptList: [{ lateReports: [{}] }, {}],
    });
  });

  test("keeps the first declaration if it is repeated", async () => {
    const { tenancy, fakeWorker } = await started();
    const { gone } = await declare(tenancy, fakeWorker.worker);
    await testEnv.pass(5_000);
    expect(await declare(tenancy, fakeWorker.worker)).toMatchObject({ gone });
  });

  test("loses nothing before the control plane was reachable for the length of a lease", async () => {
    const { tenancy, fakeWorker, get } = await started();
    await declare(tenancy, fakeWorker.worker);
    testEnv.clock.advance(LEASE_MS + 3_600_000);
    await heartbeatPeriodicJob.runOnce(testEnv.deps);
    await testEnv.pass(LEASE_MS - 1_000);
    await lose();
    expect(await get()).toMatchObject({ state: "running" });
    await testEnv.pass(2_000);
    await lose();
    expect(await get()).toMatchObject({ state: "crashed" });
  });

  test("is a worker of its workspace alone, also if another workspace has a worker with the same id", async () => {
    const [one, other] = [await started(), await started()];
    await testEnv.deps.database.sql`update worker set id = ${one.fakeWorker.worker.workerId}
      where id = ${other.fakeWorker.worker.workerId}`;
    await testEnv.deps.database.sql`update attempt set worker_id = ${one.fakeWorker.worker.workerId}
      where worker_id = ${other.fakeWorker.worker.workerId}`;
    await declare(one.tenancy, one.fakeWorker.worker);
    await testEnv.pass(LEASE_MS + 1_000);
    await lose();
    expect(await one.get()).toMatchObject({ state: "crashed" });
    expect(await other.get()).toMatchObject({ state: "running" });
    await expect(
      declare(other.tenancy, { ...one.fakeWorker.worker, workerId: randomUUID() }),
    ).rejects.toMatchObject({
      code: "worker-not-found",
    });
  });
});

describe("a new worker with a stable name", () => {
  const open = async (tenancy: Tenancy, over: { name: string; workerId?: string; stableName?: boolean }) => {
    const input = { kind: "worker" as const, name: `key-${randomUUID()}`, pool: null };
    const { key } = await createKey(testEnv.deps, { scope: tenancy.scope, input });
    await openSession(testEnv.deps, {
      scope: { ...tenancy.scope, actor: { kind: "key", id: key.id, name: "workers" } },
      keyPool: null,
      input: {
        workerId: uuidv7(testEnv.clock.nowMs()),
        pool: "local",
        poolType: "process",
        capacity: 4,
        version: "0",
        protocols: [1],
        process: randomUUID(),
        ...over,
      },
    });
  };

  test("replaces the earlier workers of its name", async () => {
    const { tenancy, get } = await started();
    await open(tenancy, { name: "build-7", stableName: true });
    await testEnv.pass(LEASE_MS + 1_000);
    await lose();
    expect(await get()).toMatchObject({ state: "crashed", cause: "lost" });
    expect((await get()).error?.message).toContain("A new worker of the name build-7 declared");
  });

  test.each([
    ["has another name", { name: "build-8", stableName: true }],
    ["does not say that its name is stable", { name: "build-7" }],
  ])("replaces none if it %s", async (_, over) => {
    const { tenancy, get } = await started();
    await open(tenancy, over);
    await testEnv.pass(LEASE_MS + 1_000);
    await lose();
    expect(await get()).toMatchObject({ state: "running", labels: ["disconnected"] });
  });

  test("does not end a worker of its name that still renews its leases", async () => {
    const { tenancy, fakeWorker, given, get } = await started();
    await open(tenancy, { name: "build-7", stableName: true });
    for (let round = 0; round < 6; round++) {
      await testEnv.pass(10_000);
      await renew(testEnv.deps, fakeWorker.worker, { held: [given] });
      await lose();
    }
    expect(await get()).toMatchObject({ state: "running", labels: [] });
  });
});
