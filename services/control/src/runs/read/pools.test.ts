import { randomUUID } from "node:crypto";
import { type Assignment, HOLDS_SHOWN, workerOnlineMs } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { untilBlocked } from "../../blocked.fixture.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { losePeriodicJob } from "../periodic-jobs.ts";
import { createRun } from "../requests/requests.ts";
import { readQueueLoad, readWorkerLoad } from "./load-store.ts";
import { deleteWorker, getPool, listWorkers, setQueue } from "./pools.ts";

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

describe("a worker", () => {
  const remove = ({ scope }: Tenancy, workerId: string) =>
    deleteWorker(testEnv.deps, { scope, name: "local", workerId });
  const names = async ({ scope }: Tenancy) =>
    (await listWorkers(testEnv.deps, { scope, name: "local", limit: 10 })).items.map(({ name }) => name);
  const goOffline = () => testEnv.pass(workerOnlineMs + 10_000);

  test("is removed once it is offline, with no other of its name and no other workspace's", async () => {
    const [tenancy, other] = [await openTenancy(testEnv), await openTenancy(testEnv)];
    const { workerId } = await tenancy.worker("laptop");
    await tenancy.worker("laptop");
    await expect(remove(tenancy, workerId)).rejects.toMatchObject({
      code: "worker-in-use",
      detail: 'Worker "laptop" was online 0 s ago. Stop it, and remove it 60 s later.',
    });
    await goOffline();
    await remove(other, workerId);
    expect(await names(tenancy)).toEqual(["laptop", "laptop"]);
    await Promise.all([remove(tenancy, workerId), remove(tenancy, workerId)]);
    await remove(tenancy, workerId);
    await remove(tenancy, randomUUID());
    expect(await names(tenancy)).toEqual(["laptop"]);
  });

  test("that vanished with a run is not removed before the run counts as lost", async () => {
    const tenancy = await openTenancy(testEnv, { onDisconnect: "continue", lostAfterMs: 600_000 });
    const worker = await tenancy.worker();
    const runId = await ask(tenancy);
    await start(new FakeWorker(testEnv, worker));
    await goOffline();
    const untilMs = testEnv.clock.nowMs() - workerOnlineMs - 10_000 + testEnv.deps.config.leaseMs + 600_000;
    await expect(remove(tenancy, worker.workerId)).rejects.toMatchObject({
      code: "worker-in-use",
      detail: `Worker "laptop" is silent and still has run ${runId}. If its machine will not return, \`towpath worker gone laptop\` gives them up. Else start it again, or remove it after ${new Date(untilMs).toISOString()}, when they are lost.`,
    });
    await testEnv.pass(700_000);
    await losePeriodicJob.runOnce(testEnv.deps);
    await remove(tenancy, worker.workerId);
    expect(await names(tenancy)).toEqual([]);
  });

  test("that comes back while it is removed is either kept or must open a session again", async () => {
    for (let round = 0; round < 5; round++) {
      const tenancy = await openTenancy(testEnv);
      const worker = await tenancy.worker();
      await goOffline();
      const fakeWorker = new FakeWorker(testEnv, worker);
      const [poll, removed] = await Promise.allSettled([
        fakeWorker.poll({ waitMs: 0 }),
        remove(tenancy, worker.workerId),
      ]);
      expect(poll.status === "fulfilled").toBe(removed.status === "rejected");
      expect(await names(tenancy)).toEqual(poll.status === "fulfilled" ? ["laptop"] : []);
    }
  });

  test.each([
    ["removed", sql`delete from worker where`],
    ["started again", sql`update worker set generation = generation + 1, poll_seq = 0 where`],
  ])("that polls while it is %s must open a session again, although it waits", async (_, change) => {
    const tenancy = await openTenancy(testEnv);
    const { workspaceId } = tenancy.scope;
    const worker = await tenancy.worker();
    const polling = await testEnv.deps.database.db.transaction(async (tx) => {
      await tx.execute(sql`${change} workspace_id = ${workspaceId} and id = ${worker.workerId}`);
      const poll = new FakeWorker(testEnv, worker).poll({ waitMs: 0 }).catch((error: unknown) => error);
      await untilBlocked(testEnv);
      return { poll };
    });
    expect(await polling.poll).toMatchObject({ code: "session-expired" });
  });
});
