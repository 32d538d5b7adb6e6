import { SetLimit } from "@towpath/contract";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { Dispatchers, FakeWorker, records } from "../../fake-worker.fixture.ts";
import { armFailpoints, readChanges } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { claimAttempts } from "../moves/claim.ts";
import { setLimit } from "../read/limits.ts";
import { getRun } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterEach(() => armFailpoints([]));
afterAll(() => testEnv.close());

/** A worker with a waiting poll, after the statements of its start. */
async function waitingFakeWorker(args: { tenancy?: Tenancy; free?: number; signal?: AbortSignal } = {}) {
  const tenancy = args.tenancy ?? (await openTenancy(testEnv));
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { tenancy: _, ...over } = { free: 1, ...args };
  const polled = fakeWorker.poll({ ...over, waitMs: 25_000 });
  await expect.poll(() => fakeWorker.dispatchers.areWaiting(fakeWorker.worker.poolId)).toBe(true);
  await fakeWorker.dispatchers.idle();
  const create = (request = tenancy.request()) =>
    createRun(testEnv.deps, tenancy.scope, request, fakeWorker.dispatchers);
  return { tenancy, fakeWorker, polled, create };
}

const storedAttempts = ({ scope }: Tenancy) =>
  testEnv.deps.database.sql`select id, state, epoch, nonce, worker_id from attempt
    where workspace_id = ${scope.workspaceId} order by created_at, id`;

describe("a run for which a worker waits in this process", () => {
  test("is given to it by the statement that creates it, and then looks like any claimed run", async () => {
    const { tenancy, fakeWorker, polled, create } = await waitingFakeWorker();
    const made = await create(tenancy.request({ parameters: { n: 1 } }));
    expect(made).toMatchObject({ state: "claimed", attempts: 1 });
    expect(await getRun(testEnv.deps, tenancy.scope, { runId: made.id })).toEqual(made);
    const { assignments } = await polled;
    expect(assignments).toMatchObject([
      { runId: made.id, attemptId: made.attemptList[0]?.id, epoch: 1, ordinal: 1, parameters: { n: 1 } },
    ]);
    const [given] = assignments;
    expect(await storedAttempts(tenancy)).toMatchObject([{ state: "claimed", nonce: given?.nonce }]);
    await testEnv.stamp();
    const { workspaceId } = tenancy.scope;
    const changes = await readChanges(testEnv.deps.database.db, {
      workspaceId,
      runId: made.id,
      after: 0,
      limit: 10,
    });
    expect(changes.map(({ data }) => data.state)).toEqual(["claimed"]);
    if (given === undefined) throw new TypeError("Nothing was given.");
    const ended = await fakeWorker.report(given, [records.started, records.ended("completed")]);
    expect(ended).toMatchObject({ status: "accepted", rejected: [], outcome: { state: "completed" } });
    expect((await getRun(testEnv.deps, tenancy.scope, { runId: made.id })).state).toBe("completed");
  });

  test("is delivered again with the same fence if the poll went away before the commit", async () => {
    const gone = new AbortController();
    const { tenancy, fakeWorker, polled } = await waitingFakeWorker({ signal: gone.signal });
    const { dispatchers } = fakeWorker;
    const leaving = {
      areWaiting: (poolId: string) => dispatchers.areWaiting(poolId),
      reserve(poolId: string) {
        const kept = dispatchers.reserve(poolId);
        gone.abort();
        return kept;
      },
    };
    const made = await createRun(testEnv.deps, tenancy.scope, tenancy.request(), leaving);
    expect(made.state).toBe("claimed");
    expect((await polled).assignments).toEqual([]);
    const [stored] = await storedAttempts(tenancy);
    const { assignments } = await fakeWorker.poll({ free: 1 });
    expect(assignments).toMatchObject([{ attemptId: stored?.id, epoch: 1, nonce: stored?.nonce }]);
  });

  test("reaches it although the creator lost the answer, and exists once", async () => {
    const { tenancy, polled, create } = await waitingFakeWorker();
    armFailpoints([{ name: "admit", action: "drop", nth: 1 }]);
    const request = tenancy.request();
    await expect(create(request)).rejects.toThrow();
    const { assignments } = await polled;
    expect(assignments).toMatchObject([{ runId: request.id, epoch: 1 }]);
    expect(await create(request)).toMatchObject({ id: request.id, state: "claimed", attempts: 1 });
    expect(await storedAttempts(tenancy)).toHaveLength(1);
  });

  test("exists once, and is given once, however many ask for it at the same time", async () => {
    const { tenancy, fakeWorker, polled, create } = await waitingFakeWorker();
    const other = await waitingFakeWorker({ tenancy });
    const request = tenancy.request();
    await Promise.all([create(request), other.create(request), create(request)]);
    expect(await storedAttempts(tenancy)).toHaveLength(1);
    const next = await create();
    const told = await Promise.all([polled, other.polled]);
    // The slot that was reserved for the repeated request stays free and takes the next run.
    expect(told.map(({ assignments }) => assignments.map(({ runId }) => runId)).sort()).toEqual(
      [[request.id], [next.id]].sort(),
    );
    await fakeWorker.dispatchers.idle();
  });

  test("is one of two at the same time: the other waits in its queue, and does not get a slot that is taken", async () => {
    const { tenancy, fakeWorker, polled, create } = await waitingFakeWorker();
    const made = await Promise.all([create(), create()]);
    const { assignments } = await polled;
    expect(assignments).toHaveLength(1);
    const [given] = assignments;
    const left = made.find(({ id }) => id !== given?.runId);
    expect(await storedAttempts(tenancy)).toHaveLength(2);
    const held = assignments.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce }));
    const next = await fakeWorker.poll({ free: 1, held });
    expect(next.assignments).toMatchObject([{ runId: left?.id }]);
  });
});

describe("a run is not given away at its creation", () => {
  test("if another attempt is ready in its pool: the next claim gives both in order", async () => {
    const tenancy = await openTenancy(testEnv);
    const first = new FakeWorker(testEnv, await tenancy.worker());
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    await first.report(await first.take(), [records.released]);
    const { polled, create } = await waitingFakeWorker({ tenancy });
    const made = await create();
    expect(made).toMatchObject({ state: "ready", attempts: 1 });
    expect((await polled).assignments).toMatchObject([{ runId: made.id }]);
    expect((await getRun(testEnv.deps, tenancy.scope, { runId: id })).state).toBe("ready");
  });

  test("if the worker has restarted", async () => {
    const { fakeWorker, polled, create } = await waitingFakeWorker();
    const anew = new FakeWorker(testEnv, await fakeWorker.startAnew());
    const made = await create();
    expect(made.state).toBe("ready");
    expect((await anew.poll({ free: 1 })).assignments).toMatchObject([{ runId: made.id }]);
    await testEnv.deps.database
      .sql`update worker set generation = ${fakeWorker.worker.generation} where id = ${fakeWorker.worker.workerId}`;
    fakeWorker.dispatchers
      .of(testEnv.deps, fakeWorker.worker)
      .supersede({ ...fakeWorker.worker, generation: 99 }, 1);
    expect((await polled).assignments).toEqual([]);
  });

  test("if the worker polls at another process by now: the run is given there", async () => {
    const { fakeWorker, polled, create } = await waitingFakeWorker();
    const elsewhere = new FakeWorker(testEnv, fakeWorker.worker, new Dispatchers());
    const later = elsewhere.poll({ free: 1, seq: 9, heard: 8, waitMs: 25_000 });
    await expect.poll(() => elsewhere.dispatchers.areWaiting(fakeWorker.worker.poolId)).toBe(true);
    await elsewhere.dispatchers.idle();
    const made = await create();
    expect((await later).assignments).toMatchObject([{ runId: made.id }]);
    fakeWorker.dispatchers.of(testEnv.deps, fakeWorker.worker).supersede(fakeWorker.worker, 9);
    expect((await polled).assignments).toEqual([]);
  });

  test("if it needs a slot of a limit, which is counted once", async () => {
    const { tenancy, polled, create } = await waitingFakeWorker();
    const input = SetLimit.parse({ kind: "deployment", name: "flow", slots: 1 });
    await setLimit(testEnv.deps, { scope: tenancy.scope, input });
    const made = await create();
    expect((await polled).assignments).toMatchObject([{ runId: made.id }]);
    const taken = await testEnv.deps.database
      .sql`select taken from slot_limit where workspace_id = ${tenancy.scope.workspaceId}`;
    expect(taken).toMatchObject([{ taken: 1 }]);
  });

  test("if it is due later", async () => {
    const { tenancy, fakeWorker, create } = await waitingFakeWorker();
    const scheduledAt = new Date(testEnv.clock.nowMs() + 60_000).toISOString();
    expect((await create(tenancy.request({ scheduledAt }))).state).toBe("scheduled");
    expect(fakeWorker.dispatchers.areWaiting(fakeWorker.worker.poolId)).toBe(true);
  });

  test("if its worker drains", async () => {
    const tenancy = await openTenancy(testEnv);
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
    const stop = new AbortController();
    const polled = fakeWorker.poll({ free: 1, draining: true, waitMs: 25_000, signal: stop.signal });
    const made = await createRun(testEnv.deps, tenancy.scope, tenancy.request(), fakeWorker.dispatchers);
    expect(made.state).toBe("ready");
    stop.abort();
    expect((await polled).assignments).toEqual([]);
  });
});

test("a run that is claimed at its creation reaches its worker before its creator hears that it is on disk", async () => {
  const { tenancy, fakeWorker, polled } = await waitingFakeWorker();
  const order: string[] = [];
  const { dispatchers } = fakeWorker;
  const watched = {
    areWaiting: (poolId: string) => dispatchers.areWaiting(poolId),
    reserve(poolId: string) {
      const kept = dispatchers.reserve(poolId);
      return (
        kept && {
          ...kept,
          settle(given: Parameters<typeof kept.settle>[0]) {
            kept.settle(given);
            order.push(given === null ? "nothing" : "given");
          },
        }
      );
    },
  };
  await createRun(testEnv.deps, tenancy.scope, tenancy.request(), watched).then(() => order.push("answered"));
  expect((await polled).assignments).toHaveLength(1);
  expect(order).toEqual(["given", "answered"]);
});

test("the commit of a claim does not wait for the disk", async () => {
  const { fakeWorker } = await waitingFakeWorker();
  const { workspaceId, poolId } = fakeWorker.worker;
  const setting = await testEnv.deps.database.db.transaction(async (tx) => {
    await tx.execute("set local synchronous_commit = on");
    await claimAttempts(tx, testEnv.deps.clock, { workspaceId, poolId, slots: [], claimLeaseMs: 1_000 });
    return await tx.execute("show synchronous_commit");
  });
  expect([...setting]).toEqual([{ synchronous_commit: "off" }]);
});
