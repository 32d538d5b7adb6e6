import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { systemClock } from "../../kernel/index.ts";
import { cancelRun, createRun, getRun } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { PollCache } from "./poll-cache.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function idleFakeWorker() {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { workspaceId, workerId } = fakeWorker.worker;
  const seenSeq = async () => {
    const [row] = await testEnv.deps.database.sql`
      select poll_seq::int as seq from worker where workspace_id = ${workspaceId} and id = ${workerId}`;
    return row?.seq;
  };
  expect((await fakeWorker.poll({ waitMs: 1 })).assignments).toEqual([]);
  return { tenancy, fakeWorker, seenSeq };
}

describe("a poll that follows an empty one and holds nothing", () => {
  test("is not recorded by itself, and gets work like any other", async () => {
    const { tenancy, fakeWorker, seenSeq } = await idleFakeWorker();
    expect(await seenSeq()).toBe(1);
    await fakeWorker.poll({ waitMs: 1 });
    expect(await seenSeq()).toBe(1);
    const waiting = fakeWorker.poll({ waitMs: 25_000 });
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const { assignments } = await waiting;
    expect(assignments.map(({ runId }) => runId)).toEqual([id]);
  });

  test("is followed by one that is not recorded either, once its assignments have ended here", async () => {
    const { tenancy, fakeWorker, seenSeq } = await idleFakeWorker();
    await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const given = await fakeWorker.take();
    await fakeWorker.report(given, [records.started, records.ended("completed")]);
    fakeWorker.dispatchers.ended(fakeWorker.worker, [given.attemptId]);
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    expect((await fakeWorker.take()).runId).toBe(id);
    expect(await seenSeq()).toBe(1);
  });

  test("is followed by one that is recorded, if that lacks an assignment of the earlier one, which is delivered again", async () => {
    const { tenancy, fakeWorker, seenSeq } = await idleFakeWorker();
    await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const { attemptId } = await fakeWorker.take();
    const { assignments } = await fakeWorker.poll({ waitMs: 1 });
    expect(assignments.map((one) => one.attemptId)).toEqual([attemptId]);
    expect(await seenSeq()).toBe(3);
  });

  test("is followed by one that is recorded and disowns, if that lacks a started attempt", async () => {
    const { tenancy, fakeWorker, seenSeq } = await idleFakeWorker();
    const { id: runId } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const given = await fakeWorker.take();
    await fakeWorker.report(given, [records.started]);
    await fakeWorker.poll({ waitMs: 1 });
    expect(await seenSeq()).toBe(3);
    expect(await getRun(testEnv.deps, tenancy.scope, { runId })).toMatchObject({ state: "crashed" });
  });

  test("is followed by one that is not recorded and receives commands, while its worker names all its attempts", async () => {
    const { tenancy, fakeWorker, seenSeq } = await idleFakeWorker();
    const { id: runId } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const given = await fakeWorker.take();
    await fakeWorker.report(given, [records.started]);
    expect((await fakeWorker.poll({ held: [given], waitMs: 1 })).commands).toEqual([]);
    await cancelRun(testEnv.deps, tenancy.scope, { runId, reason: "enough" });
    const { commands } = await fakeWorker.poll({ held: [given], waitMs: 1 });
    expect(commands).toMatchObject([{ kind: "cancel", attemptId: given.attemptId }]);
    expect(await seenSeq()).toBe(1);
  });

  test("gets no work if its worker has restarted since: the new start does", async () => {
    const { tenancy, fakeWorker } = await idleFakeWorker();
    const earlier = fakeWorker.poll({ waitMs: 200 });
    const anew = new FakeWorker(testEnv, await fakeWorker.startAnew());
    await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    expect((await earlier).assignments).toEqual([]);
    expect((await anew.poll({ free: 1 })).assignments).toHaveLength(1);
  });

  test("gets no work if its worker has polled at another process since: the later poll does", async () => {
    const { tenancy, fakeWorker } = await idleFakeWorker();
    const earlier = fakeWorker.poll({ waitMs: 200 });
    const elsewhere = new FakeWorker(testEnv, fakeWorker.worker);
    const later = elsewhere.poll({ seq: 9, heard: 8, waitMs: 25_000 });
    await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    expect((await later).assignments).toHaveLength(1);
    expect((await earlier).assignments).toEqual([]);
  });
});

describe("a remembered poll", () => {
  const poll = { held: [], draining: false };
  const worker = { workspaceId: "w", workerId: "one", poolId: "p", generation: 1 };
  const heard = () => {
    const pollCache = new PollCache(systemClock);
    pollCache.heard(worker, { ...poll, seq: 1, name: "one", offeringMs: null });
    return pollCache;
  };

  test.each([
    ["it drains", { draining: true }],
    ["it pauses", { paused: { forMs: 1, reason: "" } }],
    ["one is missing before it", { seq: 3 }],
  ])("requires the next poll to be recorded if %s", (_, over) => {
    expect(heard().follows(worker, { ...poll, seq: 2, ...over })).toBeNull();
  });

  test("is not used for another start of the worker", () => {
    expect(heard().follows({ ...worker, generation: 2 }, { ...poll, seq: 2 })).toBeNull();
  });

  test("knows the attempts in the worker's polls and in the answers to them, until they have ended", () => {
    const pollCache = heard();
    const follows = (held: { attemptId: string }[] = []) =>
      pollCache.follows(worker, { ...poll, held, seq: 2 })?.holds;
    expect([follows(), follows([{ attemptId: "a" }])]).toEqual([false, true]);
    pollCache.answered(worker, { assignments: [{ attemptId: "b" }] });
    expect(follows()).toBe(true);
    pollCache.ended(worker, ["b"]);
    expect(follows()).toBe(false);
  });

  test("makes a poll that comes after its successor late", () => {
    const pollCache = heard();
    const isLate = (seq: number, generation = 1) =>
      pollCache.isLate({ ...worker, generation }, { ...poll, seq });
    expect([isLate(1), isLate(2), isLate(1, 2)]).toEqual([true, false, false]);
  });
});

test("kept polls are recorded together, and those of an earlier start are reported", async () => {
  const pollCache = new PollCache(systemClock);
  const [one, other] = [await idleFakeWorker(), await idleFakeWorker()];
  for (const { fakeWorker } of [one, other])
    pollCache.put(fakeWorker.worker, { held: [], draining: false, seq: 2 });
  const { workspaceId } = one.fakeWorker.worker;
  expect(await pollCache.write(testEnv.deps, workspaceId)).toEqual([other.fakeWorker.worker.workerId]);
  expect([await one.seenSeq(), await other.seenSeq()]).toEqual([2, 1]);
  expect(await pollCache.write(testEnv.deps, workspaceId)).toEqual([]);
});
