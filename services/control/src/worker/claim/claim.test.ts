import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { cancelRun, createRun, getRun } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { Dispatchers } from "./poll.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const fenceOf = ({ attemptId, epoch, nonce }: { attemptId: string; epoch: number; nonce: string }) => ({
  attemptId,
  epoch,
  nonce,
});

test("each attempt goes to exactly one of many workers in several processes", async () => {
  const tenancy = await openTenancy(testEnv);
  const made = new Set<string>();
  for (let index = 0; index < 60; index++) {
    made.add((await createRun(testEnv.deps, tenancy.scope, tenancy.request())).id);
  }
  const processes = [new Dispatchers(), new Dispatchers(), new Dispatchers()];
  const fakeWorkers = await Promise.all(
    Array.from({ length: 12 }, async (_, index) => {
      const worker = await tenancy.worker(`w${index}`);
      return new FakeWorker(testEnv, worker, processes[index % 3]);
    }),
  );
  const given = await Promise.all(
    fakeWorkers.map((fakeWorker) => fakeWorker.poll({ free: 10, waitMs: 2_000 })),
  );
  const runs = given.flatMap((one) => one.assignments.map((assignment) => assignment.runId));
  expect(runs).toHaveLength(60);
  expect(new Set(runs)).toEqual(made);
  const nonces = given.flatMap((one) => one.assignments.map((assignment) => assignment.nonce));
  expect(new Set(nonces).size).toBe(60);
});

test("runs with a higher priority go first, then runs that have waited longer", async () => {
  const tenancy = await openTenancy(testEnv);
  const order: string[] = [];
  for (const priority of [0, 5, 0, -1]) {
    order.push((await createRun(testEnv.deps, tenancy.scope, tenancy.request({ priority }))).id);
    testEnv.clock.advance(1);
  }
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const taken: string[] = [];
  const held: { attemptId: string; epoch: number; nonce: string }[] = [];
  for (let index = 0; index < 4; index++) {
    const { assignments } = await fakeWorker.poll({ free: 1, held });
    taken.push(...assignments.map((one) => one.runId));
    held.push(...assignments.map(fenceOf));
  }
  expect(taken).toEqual([order[1], order[0], order[2], order[3]]);
});

test("a waiting poll is answered as soon as a run is created", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const waiting = fakeWorker.poll({ waitMs: 25_000 });
  const created = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const { assignments } = await waiting;
  expect(assignments.map((one) => one.runId)).toEqual([created.id]);
});

test("the content of a lost answer is delivered again with the same epoch and nonce", async () => {
  const tenancy = await openTenancy(testEnv);
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const first = await fakeWorker.take();
  testEnv.clock.advance(5_000);
  const again = await fakeWorker.poll({ free: 1 });
  expect(again.assignments).toEqual([first]);
  const known = await fakeWorker.poll({ free: 1, held: [fenceOf(first)], waitMs: 1 });
  expect(known.assignments).toEqual([]);
});

test("a newer poll of the same worker replaces the older", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const older = fakeWorker.poll({ waitMs: 25_000 });
  const newer = fakeWorker.poll({ waitMs: 25_000 });
  // Whichever of the two enlisted first is the one that is superseded.
  const first = await Promise.race([older, newer]);
  expect(first).toEqual({ assignments: [], commands: [], superseded: true });
  const created = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const answers = await Promise.all([older, newer]);
  expect(answers.flatMap((one) => one.assignments.map((given) => given.runId))).toEqual([created.id]);
});

test("a poll ends when its caller has gone, and the work stays in the queue", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const gone = new AbortController();
  const waiting = fakeWorker.poll({ waitMs: 25_000, signal: gone.signal });
  gone.abort();
  expect(await waiting).toEqual({ assignments: [], commands: [], superseded: false });
  const created = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  expect((await fakeWorker.take()).runId).toBe(created.id);
});

test("a draining worker and a worker without a free slot get no work", async () => {
  const tenancy = await openTenancy(testEnv);
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  expect((await fakeWorker.poll({ draining: true, waitMs: 50 })).assignments).toEqual([]);
  expect((await fakeWorker.poll({ free: 0, waitMs: 50 })).assignments).toEqual([]);
  expect((await fakeWorker.poll({ free: 1 })).assignments).toHaveLength(1);
});

describe("an attempt that its worker no longer holds", () => {
  test("is lost at once if it was running", async () => {
    const tenancy = await openTenancy(testEnv);
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
    const given = await fakeWorker.take();
    await fakeWorker.report(given, [records.started, records.task("a", "begin")]);
    await fakeWorker.poll({ free: 0, held: [], waitMs: 1 });
    const run = await getRun(testEnv.deps, tenancy.scope, { runId: id });
    expect(run).toMatchObject({ state: "crashed", cause: "lost", attemptList: [{ state: "crashed" }] });
  });

  test("is abandoned by command if it belongs to another claim", async () => {
    const tenancy = await openTenancy(testEnv);
    await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const [one, other] = [
      new FakeWorker(testEnv, await tenancy.worker("one")),
      new FakeWorker(testEnv, await tenancy.worker("other")),
    ];
    const given = await one.take();
    await one.report(given, [records.released]);
    await testEnv.pass(10_000);
    const taken = await other.take();
    expect(taken).toMatchObject({ attemptId: given.attemptId, epoch: 2 });
    expect(taken.nonce).not.toBe(given.nonce);
    const heard = await one.poll({ free: 0, held: [fenceOf(given)] });
    expect(heard.commands).toMatchObject([{ kind: "abandon", attemptId: given.attemptId }]);
  });
});

test("a cancel reaches a waiting poll at once and ends with the worker's report", async () => {
  const tenancy = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const waiting = fakeWorker.poll({ free: 0, held: [fenceOf(given)], waitMs: 25_000 });
  const asked = await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "wrong data" });
  expect(asked).toMatchObject({ state: "cancelling", cancelReason: "wrong data" });
  const heard = await waiting;
  expect(heard.commands).toEqual([{ kind: "cancel", attemptId: given.attemptId, reason: "wrong data" }]);
  await fakeWorker.report(given, [{ type: "stage", at: "2026-01-15T12:00:00Z", stage: "asked" }], {
    from: 2,
  });
  const quiet = await fakeWorker.poll({ free: 0, held: [fenceOf(given)], waitMs: 20 });
  expect(quiet.commands).toEqual([]);
  await fakeWorker.report(given, [records.ended("cancelled", { cause: "user" })], { from: 3 });
  const run = await getRun(testEnv.deps, tenancy.scope, { runId: id });
  expect(run).toMatchObject({ state: "cancelled", cause: "user", why: null });
});

test("a claim that was cancelled before its start ends once its worker does not name it", async () => {
  const tenancy = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
  const refused = await fakeWorker.report(given, [records.started]);
  expect(refused.rejected).toMatchObject([{ seq: 1, code: "run-transition-not-allowed" }]);
  await fakeWorker.poll({ free: 0, waitMs: 1 });
  expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({ state: "cancelled" });
});
