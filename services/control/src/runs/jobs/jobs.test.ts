import { createHash } from "node:crypto";
import {
  type AskedWait,
  asSealedJson,
  asSealedText,
  type CallBack,
  DEFAULTS,
  derivedId,
  type JobChange,
  type Ref,
  type TendJobs,
} from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { records } from "../../fake-worker.fixture.ts";
import { updateSealed } from "../../identity/index.ts";
import { inTransaction, type WorkerScope } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { getRun, getRunWhy } from "../read/read.ts";
import { listWaits } from "../read/waits.ts";
import { cancelRun } from "../requests/requests.ts";
import { waitsPeriodicJob } from "../waits/periodic-jobs.ts";
import { startedIn } from "../waits/waiting-flow.fixture.ts";
import { callBack } from "./call-back.ts";
import { jobsPeriodicJob } from "./end.ts";
import { tendJobs } from "./tend.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const AT = "job";
const TOKEN = "a token that nobody guesses";
const HANDLE: Ref = { uri: "file:///handle", codec: "json", sizeBytes: 2, sha256: "0".repeat(64) };
const RESULT: Ref = { ...HANDLE, uri: "file:///result" };
const asked = {
  kind: "job",
  job: "spark",
  pollEveryMs: 30_000,
  cancels: true,
  callback: createHash("sha256").update(TOKEN).digest("hex"),
} as const satisfies AskedWait;

type Flow = Awaited<ReturnType<typeof startedIn>>;

/** A run whose flow has submitted a job and is suspended on it. */
async function waiting(args: { tenancy?: Tenancy; wait?: AskedWait } = {}) {
  const flow = await startedIn(testEnv, args.tenancy);
  await flow.ask(AT, args.wait ?? asked);
  await handle(flow);
  await flow.suspend([AT]);
  const jobId = await derivedId(flow.id, AT);
  return { flow, jobId, workspaceId: flow.tenancy.scope.workspaceId };
}

async function handle(flow: Flow): Promise<void> {
  const { attemptId, epoch, nonce } = flow.given;
  const fence = { attemptId, epoch, nonce, callId: await derivedId(flow.id, AT) };
  await call(testEnv.deps, flow.fakeWorker.worker, {
    ...fence,
    call: { kind: "job-handle", handle: HANDLE },
  });
}

const tend = (worker: WorkerScope, over: Partial<TendJobs> = {}) =>
  tendJobs(
    testEnv.deps,
    worker,
    { free: 10, held: [], news: [], waitMs: 0, ...over },
    new AbortController().signal,
  );

/** Takes the one job that there is. */
async function taken(worker: WorkerScope) {
  const [job, ...more] = (await tend(worker)).jobs;
  if (job === undefined || more.length > 0) throw new Error("not exactly one job was given");
  return { ...job, fence: { jobId: job.jobId, lease: job.lease } };
}

const sendChange = (worker: WorkerScope, change: JobChange) => tend(worker, { free: 0, news: [change] });
const stateOf = (flow: Flow) => flow.state();
const factsOf = async (flow: Flow) =>
  (await listWaits(testEnv.deps, flow.tenancy.scope, { runId: flow.id })).items[0]?.job;

describe("a job", () => {
  test("is wanted before it is submitted, and a repeated call gets both", async () => {
    const flow = await startedIn(testEnv);
    const first = await flow.ask(AT, asked);
    expect(first).toMatchObject({ state: "open", job: { handle: null, intendedBy: flow.given.attemptId } });
    expect(await factsOf(flow)).toMatchObject({ name: "spark", state: "intended", submittedAt: null });
    await handle(flow);
    await handle(flow);
    expect(await flow.ask(AT, asked)).toMatchObject({ state: "open", job: { handle: HANDLE } });
    expect(await factsOf(flow)).toMatchObject({ state: "submitted" });
  });

  test("is tended by one worker of its pool; the run shows its last poll, and its end resumes the run", async () => {
    const { flow, jobId } = await waiting();
    const { worker } = flow.fakeWorker;
    const job = await taken(worker);
    expect(job).toMatchObject({ jobId, job: "spark", handle: HANDLE, pollEveryMs: 30_000, cancel: false });
    expect((await tend(worker, { held: [{ ...job.fence, cancel: false }] })).jobs).toEqual([]);
    await sendChange(worker, { ...job.fence, type: "polled", says: "RUNNING", agoMs: 2_000 });
    await testEnv.pass(10_000);
    const why = await getRunWhy(testEnv.deps, flow.tenancy.scope, { runId: flow.id });
    expect(why.reasons).toMatchObject([
      { kind: "job", text: "It waits for job spark, last polled 12 s ago: RUNNING." },
    ]);
    await sendChange(worker, {
      ...job.fence,
      type: "ended",
      outcome: { outcome: "completed", result: RESULT },
    });
    expect(await stateOf(flow)).toBe("ready");
    const next = await flow.resumed();
    const answer = { outcome: "completed", result: RESULT };
    expect(await next.ask(AT, asked)).toMatchObject({ state: "satisfied", answer });
  });

  test("that a worker gives back is not given to it again in the same answer, so that another worker comes first", async () => {
    const { flow } = await waiting();
    const first = flow.fakeWorker.worker;
    const second = await flow.tenancy.worker("second");
    const job = await taken(first);
    const answer = await tend(first, {
      held: [{ ...job.fence, cancel: false }],
      news: [{ ...job.fence, type: "released" }],
    });
    expect(answer).toMatchObject({ jobs: [], gone: [job.jobId], wanted: true });
    const again = await taken(second);
    expect(again.jobId).toBe(job.jobId);
    await tend(second, { news: [{ ...again.fence, type: "released" }], free: 0 });
    expect((await taken(first)).jobId).toBe(job.jobId);
  });

  test("moves to another worker after a lease without contact; then the first worker only learns that the job is gone", async () => {
    const { flow } = await waiting();
    const first = flow.fakeWorker.worker;
    const second = await flow.tenancy.worker("second");
    const job = await taken(first);
    await testEnv.pass(DEFAULTS.jobLeaseMs - 1_000);
    expect((await tend(second)).jobs).toEqual([]);
    await testEnv.pass(1_000);
    const again = await taken(second);
    expect(again.lease).not.toBe(job.lease);
    const late = { outcome: "failed", error: { name: "E", message: "late" } } as const;
    const answer = await tend(first, {
      held: [{ ...job.fence, cancel: false }],
      news: [{ ...job.fence, type: "ended", outcome: late }],
      free: 0,
    });
    expect(answer.gone).toEqual([job.jobId]);
    expect(await stateOf(flow)).toBe("suspended");
  });

  test("is given anew at once to a worker that has forgotten it, and to any once it is given back", async () => {
    const { flow } = await waiting();
    const { worker } = flow.fakeWorker;
    await taken(worker);
    const job = await taken(worker);
    await sendChange(worker, { ...job.fence, type: "released" });
    expect(await taken(await flow.tenancy.worker("second"))).toMatchObject({ jobId: job.jobId });
  });

  test("is given to one of any number of workers that ask at once", async () => {
    const { flow } = await waiting();
    const workers = await Promise.all(["a", "b", "c", "d"].map((name) => flow.tenancy.worker(name)));
    const answers = await Promise.all(workers.map((worker) => tend(worker)));
    expect(answers.flatMap((answer) => answer.jobs)).toHaveLength(1);
  });

  test("of another workspace is never assigned or shown", async () => {
    const { flow, jobId, workspaceId } = await waiting();
    const other = await startedIn(testEnv);
    expect(await tend(other.fakeWorker.worker)).toMatchObject({ jobs: [], wanted: false });
    const strange = other.tenancy.scope.workspaceId;
    const report = { outcome: "completed", result: null } as const;
    const at = { jobId, token: TOKEN, report };
    await expect(callBack(testEnv.deps, { ...at, workspaceId: strange })).rejects.toMatchObject({
      code: "wait-not-found",
    });
    await expect(callBack(testEnv.deps, { ...at, workspaceId, token: "wrong" })).rejects.toMatchObject({
      code: "wait-not-found",
    });
    expect(await stateOf(flow)).toBe("suspended");
    expect(await callBack(testEnv.deps, { ...at, workspaceId })).toEqual({ state: "satisfied" });
    expect(await stateOf(flow)).toBe("ready");
  });

  test("of a sealed workspace: a callback says how it ended, and nothing in plain text", async () => {
    const { flow, jobId, workspaceId } = await waiting();
    const { deps, clock } = testEnv;
    await inTransaction(deps, (tx) => updateSealed(tx, { workspaceId, sealed: true, clock }));
    const send = (report: CallBack) => callBack(deps, { workspaceId, jobId, token: TOKEN, report });
    // A value of the right form proves nothing: only a worker seals a job's outcome.
    const compact = `${"h".repeat(60)}..${"i".repeat(16)}.${"c".repeat(20)}.${"t".repeat(22)}`;
    for (const result of [{ rows: "canary" }, asSealedJson(compact), false])
      await expect(send({ outcome: "completed", result })).rejects.toMatchObject({
        code: "callback-value",
        faults: [{ path: "result", suggestion: expect.stringContaining("without") }],
      });
    for (const error of ["canary", asSealedText(compact)])
      await expect(send({ outcome: "failed", error })).rejects.toMatchObject({
        code: "callback-value",
        faults: [{ path: "error" }],
      });
    expect(await stateOf(flow)).toBe("suspended");
    expect(await send({ outcome: "completed", result: null })).toEqual({ state: "satisfied" });
    const { items } = await listWaits(deps, flow.tenancy.scope, { runId: flow.id });
    expect(items[0]?.answer).toEqual({ outcome: "completed", result: null, value: null });
  });

  test("has one outcome, also if another is reported", async () => {
    const { flow, jobId, workspaceId } = await waiting();
    const job = await taken(flow.fakeWorker.worker);
    const report = { outcome: "failed", error: "no" } as const;
    const ended: JobChange = {
      ...job.fence,
      type: "ended",
      outcome: { outcome: "completed", result: RESULT },
    };
    await Promise.all([
      callBack(testEnv.deps, { workspaceId, jobId, token: TOKEN, report }),
      sendChange(flow.fakeWorker.worker, ended),
    ]);
    const before = await listWaits(testEnv.deps, flow.tenancy.scope, { runId: flow.id });
    await callBack(testEnv.deps, {
      workspaceId,
      jobId,
      token: TOKEN,
      report: { outcome: "completed", result: 1 },
    });
    expect(await listWaits(testEnv.deps, flow.tenancy.scope, { runId: flow.id })).toEqual(before);
    expect(await getRun(testEnv.deps, flow.tenancy.scope, { runId: flow.id })).toMatchObject({ attempts: 2 });
  });

  test("that failed makes room for another once the run is retried, and not before", async () => {
    const tenancy = await openTenancy(testEnv, { retry: { limit: 1, delayMs: 0 } });
    const { flow } = await waiting({ tenancy });
    const job = await taken(flow.fakeWorker.worker);
    const outcome = { outcome: "failed", error: { name: "JobFailed", message: "no" } } as const;
    await sendChange(flow.fakeWorker.worker, { ...job.fence, type: "ended", outcome });
    const next = await flow.resumed();
    expect(await next.ask(AT, asked)).toMatchObject({ state: "satisfied", job: { earlier: false } });
    await next.fakeWorker.report(next.given, [records.ended("failed", { cause: "error" })], { from: 2 });
    const retried = await next.resumed();
    expect(await retried.ask(AT, asked)).toMatchObject({ state: "satisfied", job: { earlier: true } });
  });

  test("that comes after its deadline finds nobody, and is cancelled", async () => {
    const { flow } = await waiting({ wait: { ...asked, deadlineMs: 60_000 } });
    await testEnv.pass(60_000);
    await waitsPeriodicJob.runOnce(testEnv.deps);
    expect(await stateOf(flow)).toBe("ready");
    expect(await factsOf(flow)).toMatchObject({ state: "cancelling" });
    expect(await taken(flow.fakeWorker.worker)).toMatchObject({ cancel: true });
  });
});

const cancel = (flow: Flow) =>
  cancelRun(testEnv.deps, flow.tenancy.scope, { runId: flow.id, reason: "enough" });

describe("a run that is cancelled", () => {
  test("while it is suspended ends once its jobs are cancelled", async () => {
    const { flow } = await waiting();
    const job = await taken(flow.fakeWorker.worker);
    expect(await cancel(flow)).toMatchObject({ state: "cancelling" });
    expect(await cancel(flow)).toMatchObject({ state: "cancelling" });
    const answer = await tend(flow.fakeWorker.worker, { held: [{ ...job.fence, cancel: false }] });
    expect(answer.cancel).toEqual([job.jobId]);
    await sendChange(flow.fakeWorker.worker, { ...job.fence, type: "stumbled", detail: "503", agoMs: 0 });
    const why = await getRunWhy(testEnv.deps, flow.tenancy.scope, { runId: flow.id });
    expect(why.reasons[0]?.text).toContain(
      "A worker of its pool must cancel its job spark. This has failed so far: 503.",
    );
    await sendChange(flow.fakeWorker.worker, { ...job.fence, type: "cancelled" });
    expect(await getRun(testEnv.deps, flow.tenancy.scope, { runId: flow.id })).toMatchObject({
      state: "cancelled",
      cause: "user",
      attempts: 1,
    });
    expect(await factsOf(flow)).toMatchObject({ state: "cancelled" });
  });

  test("while its flow is at work ends once that has ended, and its jobs are cancelled", async () => {
    const flow = await startedIn(testEnv);
    await flow.ask(AT, asked);
    await handle(flow);
    const job = await taken(flow.fakeWorker.worker);
    expect(await cancel(flow)).toMatchObject({ state: "cancelling" });
    await flow.fakeWorker.report(flow.given, [records.ended("cancelled", { cause: "user" })], { from: 2 });
    expect(await stateOf(flow)).toBe("cancelling");
    await sendChange(flow.fakeWorker.worker, { ...job.fence, type: "cancelled" });
    expect(await stateOf(flow)).toBe("cancelled");
  });

  test("ends all the same when nobody cancels its job in time, which is then left alone", async () => {
    const { flow } = await waiting();
    await cancel(flow);
    await testEnv.pass(DEFAULTS.jobCancelMs - 1_000);
    await jobsPeriodicJob.runOnce(testEnv.deps);
    expect(await stateOf(flow)).toBe("cancelling");
    await testEnv.pass(1_000);
    await jobsPeriodicJob.runOnce(testEnv.deps);
    expect(await stateOf(flow)).toBe("cancelled");
    expect(await factsOf(flow)).toMatchObject({ state: "left" });
  });

  test("ends at once where its job cannot be cancelled", async () => {
    const { flow } = await waiting({ wait: { ...asked, cancels: false } });
    expect(await cancel(flow)).toMatchObject({ state: "cancelled" });
    expect(await factsOf(flow)).toMatchObject({ state: "left" });
  });

  test("ends when its job does, if that is sooner", async () => {
    const { flow, jobId, workspaceId } = await waiting();
    await cancel(flow);
    const report = { outcome: "completed", result: null } as const;
    await callBack(testEnv.deps, { workspaceId, jobId, token: TOKEN, report });
    expect(await stateOf(flow)).toBe("cancelled");
  });
});

test("a run that fails has its jobs cancelled, without waiting for it", async () => {
  const flow = await startedIn(testEnv);
  await flow.ask(AT, asked);
  await flow.fakeWorker.report(flow.given, [records.ended("failed", { cause: "error" })], { from: 2 });
  expect(await stateOf(flow)).toBe("failed");
  expect(await taken(flow.fakeWorker.worker)).toMatchObject({ cancel: true, handle: null });
});

test("a worker that waits for changes hears at once that a job is to be cancelled", async () => {
  const { flow } = await waiting();
  const job = await taken(flow.fakeWorker.worker);
  const hears = tend(flow.fakeWorker.worker, { held: [{ ...job.fence, cancel: false }], waitMs: 20_000 });
  await cancel(flow);
  expect((await hears).cancel).toEqual([job.jobId]);
});
