import { type Assignment, HOLDS_SHOWN } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { createRun } from "../requests/requests.ts";
import { readQueueLoad, readWorkerLoad } from "./load-store.ts";
import { getPool, setQueue } from "./pools.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function ask(tenancy: Tenancy): Promise<string> {
  testEnv.clock.advance(1_000);
  return (await createRun(testEnv.deps, tenancy.scope, tenancy.request({}))).id;
}

/** Claims and starts the first waiting run, and keeps its other attempts. */
async function start(fakeWorker: FakeWorker, held: Assignment[] = []): Promise<Assignment> {
  const { assignments } = await fakeWorker.poll({
    free: 1,
    held: held.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce })),
  });
  const [given] = assignments;
  if (given === undefined) throw new Error("no attempt was assigned");
  held.push(given);
  await fakeWorker.report(given, [records.started]);
  return given;
}

async function loadOf(tenancy: Tenancy, fakeWorker: FakeWorker) {
  const { workerId } = fakeWorker.worker;
  const which = { workspaceId: tenancy.scope.workspaceId, workerIds: [workerId] };
  return (await readWorkerLoad(testEnv.deps.database.reads, which)).get(workerId);
}

test("a worker's slots show the runs that take them, since when, and how long those usually take", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const earlier = await ask(tenancy);
  const done = await start(fakeWorker);
  testEnv.clock.advance(90_000);
  await fakeWorker.report(done, [records.ended("completed")], { from: 2 });
  const held: Assignment[] = [];
  const first = await ask(tenancy);
  await start(fakeWorker, held);
  const since = new Date(testEnv.clock.nowMs()).toISOString();
  const second = await ask(tenancy);
  await start(fakeWorker, held);
  await ask(tenancy);
  expect(earlier).toBe(done.runId);
  expect(await loadOf(tenancy, fakeWorker)).toMatchObject({
    held: 2,
    holds: [
      { runId: first, deployment: "flow", attempt: 1, needs: {}, since, usualMs: 90_000 },
      { runId: second, deployment: "flow", attempt: 1 },
    ],
  });
});

test("a worker with very many attempts shows the oldest, and counts all", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const asked: string[] = [];
  const held: Assignment[] = [];
  for (let n = 0; n < HOLDS_SHOWN + 2; n++) {
    asked.push(await ask(tenancy));
    await start(fakeWorker, held);
  }
  const load = await loadOf(tenancy, fakeWorker);
  expect(load?.held).toBe(HOLDS_SHOWN + 2);
  expect(load?.holds.map(({ runId }) => runId)).toEqual(asked.slice(0, HOLDS_SHOWN));
});

test("the end of each lease is shown, and nothing more", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  await ask(tenancy);
  await start(fakeWorker);
  const [hold] = (await loadOf(tenancy, fakeWorker))?.holds ?? [];
  expect(Date.parse(hold?.leaseUntil ?? "")).toBeGreaterThan(testEnv.clock.nowMs());
});

test("a queue shows how many of its runs wait and execute, without those of other queues and workspaces", async () => {
  const [tenancy, other] = [await openTenancy(testEnv), await openTenancy(testEnv)];
  for (const { scope } of [tenancy, other])
    for (const queue of ["bulk", "urgent"])
      await setQueue(testEnv.deps, { scope, name: "local", input: { queue, priority: 0 } });
  const askIn = (queue: string) => createRun(testEnv.deps, tenancy.scope, { ...tenancy.request({}), queue });
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  await askIn("urgent");
  await start(fakeWorker);
  await askIn("urgent");
  await askIn("urgent");
  await ask(tenancy);
  const { poolId } = fakeWorker.worker;
  const queues = ({ scope: { workspaceId } }: Tenancy) =>
    readQueueLoad(testEnv.deps.database.reads, { workspaceId, poolId });
  expect(await queues(tenancy)).toEqual(new Map([["urgent", { ready: 2, running: 1 }]]));
  expect(await queues(other)).toEqual(new Map());
  const pool = await getPool(testEnv.deps, { scope: tenancy.scope, name: "local" });
  expect(pool).toMatchObject({ ready: 3, running: 1 });
});

test("another workspace cannot see what a worker holds", async () => {
  const [mine, theirs] = [await openTenancy(testEnv), await openTenancy(testEnv)];
  await ask(mine);
  const fakeWorker = new FakeWorker(testEnv, await mine.worker());
  await start(fakeWorker);
  expect(await loadOf(theirs, fakeWorker)).toBeUndefined();
});
