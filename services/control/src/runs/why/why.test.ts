import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRun, getRunWhy } from "../read/read.ts";
import { cancelRun, createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function waiting() {
  const tenancy = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("laptop"));
  const why = async () => (await getRun(testEnv.deps, tenancy.scope, { runId: id })).why;
  const cancel = () => cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "enough" });
  return { tenancy, fakeWorker, why, cancel };
}

test("a run that was given back says by whom, how often, for what reason and when it is tried next", async () => {
  const { fakeWorker, why } = await waiting();
  for (const times of ["once", "2 times"]) {
    await fakeWorker.report(await fakeWorker.take(), [records.released]);
    expect(await why()).toMatch(
      new RegExp(`^Worker laptop gave it back ${times}: registry away; next try at 2.*Z\\.$`),
    );
    await testEnv.pass(3_000);
  }
});

test("a run whose pool has no free slot says that every slot is taken", async () => {
  const { tenancy, fakeWorker } = await waiting();
  await fakeWorker.take();
  const { workspaceId } = tenancy.scope;
  await testEnv.deps.database.db.execute(
    sql`update worker set capacity = 1 where workspace_id = ${workspaceId}`,
  );
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const { why } = await getRun(testEnv.deps, tenancy.scope, { runId: id });
  expect(why).toMatch(/^Every slot of pool "local" is taken \(1 on 1 worker online\), no run is ahead of it/);
});

test("a run whose pool's workers all pause says until when and why, and no longer when the pause is over", async () => {
  const { tenancy, fakeWorker, why } = await waiting();
  const other = new FakeWorker(testEnv, await tenancy.worker("desk"));
  const pausing = (forMs: number, reason: string) => ({ free: 0, waitMs: 1, paused: { forMs, reason } });
  await fakeWorker.poll(pausing(60_000, "the registry is away."));
  await other.poll({ free: 0, waitMs: 1 });
  expect(await why()).toContain('waits until a worker of pool "local" claims it');
  await other.poll(pausing(5_000, "git is missing\0"));
  expect(await why()).toMatch(
    /^All 2 online workers of pool "local" have paused, because attempts failed there before their code ran: git is missing\ufffd\. The next try is at 2.*Z\.$/,
  );
  await testEnv.pass(6_000);
  expect(await why()).toContain('waits until a worker of pool "local" claims it');
  await fakeWorker.poll({ free: 0, waitMs: 1 });
  expect(await why()).not.toContain("registry");
});

test("a run that a free worker leaves waiting says that the worker may pause", async () => {
  const { fakeWorker, why } = await waiting();
  await fakeWorker.poll({ free: 0, waitMs: 1 });
  expect(await why()).toContain('waits until a worker of pool "local" claims it');
  await testEnv.pass(12_000);
  await fakeWorker.poll({ free: 0, waitMs: 1 });
  expect(await why()).toContain("pauses for a while; check its log");
});

test("a run that a worker has claimed says who prepares its code, until the start is confirmed", async () => {
  const { fakeWorker, why } = await waiting();
  const held = await fakeWorker.take();
  expect(await why()).toBe(
    "Worker laptop has claimed the run and is preparing its code. It has not confirmed the start yet.",
  );
  await fakeWorker.report(held, [records.started]);
  expect(await why()).toBeNull();
});

test("a run whose wait list is gone though it is not admitted yet says that its next check is under way", async () => {
  const tenancy = await openTenancy(testEnv, { concurrency: { limit: 1 } });
  const ask = () => createRun(testEnv.deps, tenancy.scope, tenancy.request());
  await ask();
  const { id } = await ask();
  expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({ state: "blocked" });
  // What a reader sees between one statement and the next of who admits it.
  await testEnv.deps.database.db.execute(
    sql`delete from slot_wait where workspace_id = ${tenancy.scope.workspaceId} and run_id = ${id}`,
  );
  expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({
    state: "blocked",
    why: "Waiting for slots. The next check is under way.",
  });
  expect((await getRunWhy(testEnv.deps, tenancy.scope, { runId: id })).reasons).toEqual([
    { kind: "limit", text: "Waiting for slots. The next check is under way.", until: null, limit: null },
  ]);
});

test("a run that is cancelled before its worker has confirmed the start says that it is to let it go", async () => {
  const { fakeWorker, why, cancel } = await waiting();
  await fakeWorker.take();
  await cancel();
  expect(await why()).toBe("Its worker has been asked to release it before the start.");
});

test("a run that is being cancelled says how far its worker has gone: asked, SIGTERM, SIGKILL", async () => {
  const { fakeWorker, why, cancel } = await waiting();
  const held = await fakeWorker.take();
  await fakeWorker.report(held, [records.started]);
  await cancel();
  const asked = "Worker laptop has been asked to stop it.";
  const end = "If the worker does not report, the run ends after its lease and a grace period.";
  expect(await why()).toBe(`${asked} ${end}`);
  const stages = [
    ["asked", "the flow has been asked to stop"],
    ["terminated", "its processes were sent SIGTERM"],
    ["killed", "its processes were sent SIGKILL"],
  ] as const;
  for (const [index, [stage, told]] of stages.entries()) {
    await fakeWorker.report(held, [records.stage(stage)], { from: index + 2 });
    expect(await why()).toBe(`${asked} So far, ${told}. ${end}`);
  }
  await fakeWorker.report(held, [records.ended("cancelled", { cause: "user" })], { from: stages.length + 2 });
  expect(await why()).toBeNull();
});
