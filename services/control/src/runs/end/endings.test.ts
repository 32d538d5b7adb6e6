import {
  ATTEMPT_STATES,
  ATTEMPT_TRANSITIONS,
  CAUSE_NAMES,
  FREE_CAUSES,
  LAST_CAUSES,
  RUN_STATES,
  RUN_TRANSITIONS,
  type Spec,
  type Transition,
} from "@towpath/contract";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { duePeriodicJob } from "../create/due.ts";
import { getRun, listTaskRuns } from "../read/read.ts";
import { cancelRun, createRun } from "../requests/requests.ts";
import { decideEnding, type Outcome } from "./endings.ts";

const OUTCOMES: readonly Outcome[] = ["completed", "failed", "cancelled", "refused", "lost"];

describe("the table of endings", () => {
  const policy = fc.record({
    limit: fc.integer({ min: 0, max: 3 }),
    delayMs: fc.constant(10_000),
    causes: fc.subarray([...CAUSE_NAMES]),
  });
  const ending = fc.record({
    state: fc.constantFrom(...ATTEMPT_STATES),
    outcome: fc.constantFrom(...OUTCOMES),
    cause: fc.option(fc.constantFrom(...CAUSE_NAMES), { nil: null }),
    retry: policy as fc.Arbitrary<Spec["retry"]>,
    spent: fc.integer({ min: 0, max: 4 }),
  });

  test("makes only moves that the state tables have, and attempts never continue", () => {
    fc.assert(
      fc.property(ending, (a) => {
        const decision = decideEnding(a);
        if (decision === null) return;
        const attempt: Transition<string> = ATTEMPT_TRANSITIONS[decision.attempt.by];
        const run: Transition<string> = RUN_TRANSITIONS[decision.run.by];
        expect(attempt.from).toContain(a.state);
        expect(run.from).toContain(RUN_STATES.find((state) => state === a.state));
        expect(run.to).toContain(decision.run.to);
      }),
      { numRuns: 2_000 },
    );
  });

  test("grants a retry only to a running attempt, for a cause of the policy or a free one, within the limit", () => {
    fc.assert(
      fc.property(ending, (a) => {
        const decision = decideEnding(a);
        if (decision?.again == null) return;
        const cause = decision.attempt.cause ?? "error";
        expect(a.state).toBe("running");
        expect(decision.run.to).toBe("scheduled");
        expect(LAST_CAUSES).not.toContain(cause);
        if (decision.again.spends) {
          expect(a.retry.causes).toContain(cause);
          expect(a.spent).toBeLessThan(a.retry.limit);
        } else {
          expect(FREE_CAUSES).toContain(cause);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("a run that was asked to stop never starts again", () => {
    fc.assert(
      fc.property(ending, (a) => {
        const decision = decideEnding({ ...a, state: "cancelling" });
        expect(decision?.again).toBeNull();
        expect(decision?.run.to).toBe(a.outcome === "completed" ? "completed" : "cancelled");
      }),
    );
  });
});

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function running(retry: Partial<Spec["retry"]> = {}) {
  const tenancy = await openTenancy(testEnv, { retry });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  return { tenancy, fakeWorker, given, id, get: () => getRun(testEnv.deps, tenancy.scope, { runId: id }) };
}

test("a failure is retried after its delay until the limit is spent, then the run fails", async () => {
  const { fakeWorker, given, get } = await running({ limit: 1, delayMs: 30_000 });
  const failed = records.ended("failed", { cause: "oom", error: { message: "no memory" }, exitCode: 137 });
  const first = await fakeWorker.report(given, [failed], { from: 2 });
  expect(first.outcome).toEqual({ state: "failed", cause: "oom" });
  const waiting = await get();
  expect(waiting).toMatchObject({ state: "scheduled", cause: null, attempts: 1 });
  expect(waiting.error).toMatchObject({ message: "no memory" });
  expect(waiting.why).toContain("oom");
  await duePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "scheduled" });
  await testEnv.pass(30_000);
  await duePeriodicJob.runOnce(testEnv.deps);
  const second = await fakeWorker.take();
  expect(second).toMatchObject({ ordinal: 2, epoch: 1 });
  expect(second.attemptId).not.toBe(given.attemptId);
  await fakeWorker.report(second, [records.started]);
  expect(await get()).toMatchObject({ state: "running", error: null });
  await fakeWorker.report(second, [failed], { from: 2 });
  const ended = await get();
  expect(ended).toMatchObject({ state: "failed", cause: "oom", attempts: 2 });
  expect(ended.attemptList.map((one) => one.state)).toEqual(["failed", "failed"]);
});

test("an eviction continues at once in a new attempt and spends no retry", async () => {
  const { fakeWorker, given, get } = await running({ limit: 0 });
  await fakeWorker.report(given, [records.ended("failed", { cause: "evicted" })], { from: 2 });
  expect(await get()).toMatchObject({ state: "ready", attempts: 2 });
  const next = await fakeWorker.take();
  await fakeWorker.report(next, [records.started, records.ended("completed")]);
  expect(await get()).toMatchObject({ state: "completed" });
});

test("a cause outside the policy is not retried", async () => {
  const { fakeWorker, given, get } = await running({ limit: 5, causes: ["timeout"] });
  await fakeWorker.report(given, [records.ended("failed", { cause: "killed" })], { from: 2 });
  expect(await get()).toMatchObject({ state: "failed", cause: "killed" });
});

test("a flow that cancels itself without a request has failed", async () => {
  const { fakeWorker, given, get } = await running();
  await fakeWorker.report(given, [records.ended("cancelled", { cause: "user" })], { from: 2 });
  expect(await get()).toMatchObject({ state: "failed", cause: "error" });
});

test("a spec that the worker refuses never starts and is not retried", async () => {
  const tenancy = await openTenancy(testEnv, { retry: { limit: 5, causes: ["error", "refused"] } });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.ended("refused", { cause: "refused" })]);
  const run = await getRun(testEnv.deps, tenancy.scope, { runId: id });
  expect(run).toMatchObject({ state: "failed", cause: "refused", startedAt: null });
});

test("a repeated start and a repeated end change nothing, and the end keeps its first outcome", async () => {
  const { fakeWorker, given, get } = await running();
  await fakeWorker.report(given, [records.started], { from: 2 });
  await fakeWorker.report(given, [records.ended("completed")], { from: 3 });
  const before = await get();
  const again = await fakeWorker.report(given, [records.ended("failed", { cause: "error" })], { from: 4 });
  expect(again).toMatchObject({ status: "accepted", controlAcked: 4, rejected: [] });
  expect(again.outcome).toEqual({ state: "completed", cause: null });
  const repeated = await fakeWorker.report(given, [records.ended("failed", { cause: "error" })], { from: 3 });
  expect(repeated.outcome).toEqual({ state: "completed", cause: null });
  expect(await get()).toEqual(before);
});

test("an end settles the task runs that were open", async () => {
  const { fakeWorker, given, tenancy, id } = await running();
  await fakeWorker.report(
    given,
    [
      records.task("done", "begin"),
      records.task("done", "complete"),
      records.task("open", "begin"),
      records.task("queued", "queue"),
    ],
    { from: 2 },
  );
  await fakeWorker.report(given, [records.ended("failed", { cause: "killed" })], { from: 6 });
  const { items } = await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 });
  expect(items.map(({ path, state }) => [path, state])).toEqual([
    ["done", "completed"],
    ["open", "crashed"],
    ["queued", "crashed"],
  ]);
});

test("of an end and a cancellation at once, one order or the other holds, and the run ends", async () => {
  for (let round = 0; round < 15; round++) {
    const { fakeWorker, given, tenancy, id, get } = await running();
    const [ended, cancelled] = await Promise.allSettled([
      fakeWorker.report(given, [records.ended(round % 2 ? "completed" : "failed", { cause: null })], {
        from: 2,
      }),
      cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "race" }),
    ]);
    expect(ended).toMatchObject({ status: "fulfilled", value: { status: "accepted", rejected: [] } });
    const run = await get();
    if (cancelled.status === "rejected") {
      expect(cancelled.reason).toMatchObject({ code: "run-transition-not-allowed" });
      expect(run.state).toBe(round % 2 ? "completed" : "failed");
    } else {
      expect(run.state).toBe(round % 2 ? "completed" : "cancelled");
      expect(run.cancelRequestedAt).not.toBeNull();
    }
  }
});
