import { ONLY_HOOK_PROTOCOL, SetLimit } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records, renew } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { expirePeriodicJob } from "../end/expire.ts";
import { lapsePeriodicJob, losePeriodicJob } from "../periodic-jobs.ts";
import { setLimit } from "../read/limits.ts";
import { getRun, getRunWhy } from "../read/read.ts";
import { listWaits } from "../read/waits.ts";
import { cancelRun } from "../requests/requests.ts";
import { question, startedIn } from "../waits/waiting-flow.fixture.ts";
import { HOOK_WAIT_MS } from "./cancel.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  await testEnv.pass(3_600_000);
});
afterAll(() => testEnv.close());

const CLAIM_MS = 40_000;
const HOOK = { cancelHook: true };
type Flow = Awaited<ReturnType<typeof startedIn>>;

/** A run that is suspended, and whose flow may have a hook for a cancellation. */
async function suspended({ cancelHook = true, tenancy = undefined as Flow["tenancy"] | undefined } = {}) {
  const flow = await startedIn(testEnv, tenancy);
  await flow.ask("question", question);
  const ended = records.ended("suspended", { waits: ["question"], ...(cancelHook && HOOK) });
  await flow.fakeWorker.report(flow.given, [ended], { from: 2 });
  const { scope } = flow.tenancy;
  return {
    ...flow,
    cancel: (reason = "enough") => cancelRun(testEnv.deps, scope, { runId: flow.id, reason }),
    get: () => getRun(testEnv.deps, scope, { runId: flow.id }),
    why: async () => (await getRunWhy(testEnv.deps, scope, { runId: flow.id })).reasons,
    newWorker: async (name: string) => {
      const worker = { ...(await flow.tenancy.worker(name)), protocol: ONLY_HOOK_PROTOCOL };
      return new FakeWorker(testEnv, worker);
    },
  };
}

test("a suspended run whose flow has a hook is cancelled by an attempt that runs only the hook", async () => {
  const run = await suspended();
  await run.cancel();
  expect(await run.get()).toMatchObject({ state: "cancelling", attempts: 2 });
  expect(await run.why()).toMatchObject([
    { kind: "stop", text: expect.stringMatching(/^Waiting for a worker/) },
  ]);
  const worker = await run.newWorker("new");
  const given = await worker.take();
  expect(given).toMatchObject({ runId: run.id, ordinal: 2, endsInMs: null, onlyHook: { reason: "enough" } });
  expect((await run.why())[0]?.text).toMatch(/^Worker new is about to run/);
  expect(await worker.report(given, [records.started])).toMatchObject({ status: "accepted", rejected: [] });
  expect((await run.why())[0]?.text).toMatch(/^Worker new runs the flow's hook/);
  const { leases, commands } = await renew(testEnv.deps, worker.worker, { held: [given] });
  expect([leases, commands]).toMatchObject([[{ status: "renewed" }], []]);
  expect((await worker.look({ held: [given] })).commands).toEqual([]);
  await worker.report(given, [records.ended("cancelled")], { from: 2 });
  expect(await run.get()).toMatchObject({
    state: "cancelled",
    cause: "user",
    attempts: 2,
    cancelReason: "enough",
  });
});

test.each([
  ["completed", null],
  ["failed", "killed"],
  ["refused", "refused"],
])("a hook that is reported as %s leaves the run cancelled", async (outcome, cause) => {
  const run = await suspended();
  await run.cancel();
  const worker = await run.newWorker("new");
  const given = await worker.take();
  await worker.report(given, [records.started]);
  await worker.report(given, [records.ended(outcome, { cause })], { from: 2 });
  expect(await run.get()).toMatchObject({ state: "cancelled", cause: "user" });
});

test("without a hook the run is cancelled at once", async () => {
  const run = await suspended({ cancelHook: false });
  await run.cancel();
  expect(await run.get()).toMatchObject({ state: "cancelled", attempts: 1 });
});

test("a worker of an earlier release does not get the hook, and the run ends without it in time", async () => {
  const run = await suspended();
  await run.cancel();
  expect((await run.fakeWorker.look()).assignments).toEqual([]);
  await testEnv.pass(HOOK_WAIT_MS - 1_000);
  await lapsePeriodicJob.runOnce(testEnv.deps);
  expect(await run.get()).toMatchObject({ state: "cancelling" });
  await testEnv.pass(2_000);
  await lapsePeriodicJob.runOnce(testEnv.deps);
  expect(await run.get()).toMatchObject({ state: "cancelled", cause: "user" });
  const worker = await run.newWorker("late");
  expect((await worker.look()).assignments).toEqual([]);
});

test("a poll of an earlier release that came first does not keep the hook from a worker that knows it", async () => {
  const run = await suspended();
  const dispatchers = run.fakeWorker.dispatchers;
  await run.cancel();
  expect((await run.fakeWorker.look()).assignments).toEqual([]);
  const { worker } = await run.newWorker("new");
  expect(await new FakeWorker(testEnv, worker, dispatchers).take()).toMatchObject({ runId: run.id });
});

test("a lost answer is delivered again, under the same fence", async () => {
  const run = await suspended();
  await run.cancel();
  const worker = await run.newWorker("new");
  const given = await worker.take();
  const again = await worker.poll({ held: [] });
  expect(again.assignments).toEqual([given]);
  expect(await run.get()).toMatchObject({ state: "cancelling" });
});

test("if its worker dies before the start, another gets the hook, and the first can no longer start it", async () => {
  const run = await suspended();
  await run.cancel();
  const first = await run.newWorker("first");
  const given = await first.take();
  await testEnv.pass(CLAIM_MS);
  await lapsePeriodicJob.runOnce(testEnv.deps);
  await testEnv.pass(2_000);
  const second = await run.newWorker("second");
  const anew = await second.take();
  expect(anew).toMatchObject({ attemptId: given.attemptId, epoch: given.epoch + 1, onlyHook: {} });
  expect(await first.report(given, [records.started])).toMatchObject({ status: "stale" });
  await second.report(anew, [records.started, records.ended("cancelled")]);
  expect(await run.get()).toMatchObject({ state: "cancelled", attempts: 2 });
});

test("a worker that gives the hook back lets another take it", async () => {
  const run = await suspended();
  await run.cancel();
  const first = await run.newWorker("first");
  await first.report(await first.take(), [records.released]);
  expect(await run.get()).toMatchObject({ state: "cancelling" });
  await testEnv.pass(2_000);
  expect(await (await run.newWorker("second")).take()).toMatchObject({ runId: run.id, onlyHook: {} });
});

test("if its worker dies after the start, the hook does not run again and the run ends", async () => {
  const run = await suspended();
  await run.cancel();
  const worker = await run.newWorker("new");
  await worker.report(await worker.take(), [records.started]);
  await testEnv.pass(3_600_000);
  await losePeriodicJob.runOnce(testEnv.deps);
  expect(await run.get()).toMatchObject({ state: "cancelled", cause: "user", attempts: 2 });
  expect((await (await run.newWorker("other")).look()).assignments).toEqual([]);
});

test("the questions of a run that was cancelled are closed at once, and no longer listed", async () => {
  const run = await suspended();
  await run.cancel();
  const { scope } = run.tenancy;
  const { items } = await listWaits(testEnv.deps, scope, { runId: run.id });
  expect(items).toMatchObject([{ kind: "input", state: "cancelled" }]);
});

test("a second cancellation, an answer and the time limits change nothing while the hook waits", async () => {
  const run = await suspended();
  await run.cancel();
  await run.cancel("again");
  await expect(run.answer("question", true)).rejects.toMatchObject({ code: "wait-settled" });
  await expirePeriodicJob.runOnce(testEnv.deps);
  expect(await run.get()).toMatchObject({ state: "cancelling", attempts: 2, cancelReason: "enough" });
});

test("the hook takes no slot, and a new limit does not count it", async () => {
  const run = await suspended();
  await run.cancel();
  const { scope } = run.tenancy;
  const limit = SetLimit.parse({ kind: "deployment", name: "flow", slots: 1 });
  await setLimit(testEnv.deps, { scope, input: limit });
  const worker = await run.newWorker("new");
  const given = await worker.take();
  await worker.report(given, [records.started]);
  const [{ count } = { count: -1 }] = await testEnv.deps.database.sql<{ count: number }[]>`
    select count(*)::int as count from slot where run_id = ${run.id}`;
  expect(count).toBe(0);
});

test("between two attempts the hook runs too, and the attempt that waited is cancelled", async () => {
  const run = await suspended();
  await run.answer("question", true);
  expect(await run.get()).toMatchObject({ state: "ready" });
  await run.cancel();
  expect(await run.get()).toMatchObject({ state: "cancelling", attempts: 3 });
  const given = await (await run.newWorker("new")).take();
  expect(given).toMatchObject({ ordinal: 3, onlyHook: { reason: "enough" } });
});

test("a worker of another workspace neither gets the hook nor reports about it", async () => {
  const run = await suspended();
  await run.cancel();
  const other = await openTenancy(testEnv);
  const stranger = new FakeWorker(testEnv, { ...(await other.worker()), protocol: ONLY_HOOK_PROTOCOL });
  expect((await stranger.look()).assignments).toEqual([]);
  const given = await (await run.newWorker("new")).take();
  expect(await stranger.report(given, [records.started])).toMatchObject({ status: "stale" });
  expect(await run.get()).toMatchObject({ state: "cancelling" });
});
