import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { Dispatchers, FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRun } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function fakeWorkerWithRun() {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const state = async () => (await getRun(testEnv.deps, tenancy.scope, { runId: id })).state;
  return { tenancy, fakeWorker, state };
}

describe("polls that the network reorders", () => {
  test("an older poll that arrives after a newer one is superseded and disowns nothing", async () => {
    const { fakeWorker, state } = await fakeWorkerWithRun();
    const stalled = fakeWorker.number();
    const fence = await fakeWorker.take();
    await fakeWorker.report(fence, [records.started]);
    expect(await fakeWorker.poll({ ...stalled, held: [], waitMs: 0 })).toMatchObject({ superseded: true });
    expect(await state()).toBe("running");
  });

  test("so is one that arrives at another process of the control plane", async () => {
    const { fakeWorker, state } = await fakeWorkerWithRun();
    const stalled = fakeWorker.number();
    const fence = await fakeWorker.take();
    await fakeWorker.report(fence, [records.started]);
    const elsewhere = new FakeWorker(testEnv, fakeWorker.worker, new Dispatchers());
    expect(await elsewhere.poll({ ...stalled, held: [], waitMs: 0 })).toMatchObject({ superseded: true });
    expect(await state()).toBe("running");
  });

  test("the newest poll disowns nothing that it could not know when it was sent", async () => {
    const { fakeWorker, state } = await fakeWorkerWithRun();
    const first = fakeWorker.number();
    const second = fakeWorker.number();
    const { assignments } = await fakeWorker.poll({ ...first, free: 1 });
    const [fence] = assignments;
    if (fence === undefined) throw new Error("no work was given");
    await fakeWorker.report(fence, [records.started]);
    await fakeWorker.poll({ ...second, held: [], waitMs: 0, free: 0 });
    expect(await state()).toBe("running");
  });

  test("a poll that lists every attempt it received disowns what is missing, at once", async () => {
    const { fakeWorker, state } = await fakeWorkerWithRun();
    const fence = await fakeWorker.take();
    await fakeWorker.report(fence, [records.started]);
    await fakeWorker.poll({ held: [], waitMs: 0, free: 0 });
    expect(await state()).toBe("crashed");
  });

  test("after a restart the first poll disowns what the earlier process held", async () => {
    const { fakeWorker, state } = await fakeWorkerWithRun();
    const fence = await fakeWorker.take();
    await fakeWorker.report(fence, [records.started]);
    const restarted = new FakeWorker(testEnv, await fakeWorker.startAnew());
    await restarted.poll({ held: [], waitMs: 0, free: 0 });
    expect(await state()).toBe("crashed");
  });

  test("401 session-expired: a poll of an earlier start of the worker changes nothing", async () => {
    const { fakeWorker, state } = await fakeWorkerWithRun();
    const earlier = new FakeWorker(testEnv, fakeWorker.worker);
    const restarted = new FakeWorker(testEnv, await fakeWorker.startAnew());
    const fence = await restarted.take();
    await restarted.report(fence, [records.started]);
    await expect(earlier.poll({ held: [], waitMs: 0 })).rejects.toMatchObject({ code: "session-expired" });
    expect(await state()).toBe("running");
  });

  test("what a worker did not take is delivered again, under the number of the newer poll", async () => {
    const { tenancy, fakeWorker, state } = await fakeWorkerWithRun();
    await fakeWorker.take();
    const waiting = fakeWorker.poll({ held: [], waitMs: 20_000, free: 1 });
    const { assignments } = await waiting;
    expect(assignments).toHaveLength(1);
    const [row] = await testEnv.deps.database.sql`
      select told_seq::int as seq from attempt where workspace_id = ${tenancy.scope.workspaceId}`;
    expect(row?.seq).toBe(2);
    expect(await state()).toBe("claimed");
  });

  test("an assignment that was delivered twice is not disowned by a poll that received only the first", async () => {
    const { fakeWorker, state } = await fakeWorkerWithRun();
    const fence = await fakeWorker.take();
    const again = fakeWorker.number();
    const later = fakeWorker.number();
    expect((await fakeWorker.poll({ ...again, held: [] })).assignments).toEqual([fence]);
    await fakeWorker.report(fence, [records.started]);
    await fakeWorker.poll({ ...later, heard: 1, held: [], waitMs: 0, free: 0 });
    expect(await state()).toBe("running");
  });
});
