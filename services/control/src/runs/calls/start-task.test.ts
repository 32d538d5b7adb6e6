import { type CalledRun, derivedId } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { createPool } from "../read/pools.ts";
import { getRun, getRunWhy, listRuns } from "../read/read.ts";
import { cancelRun, createRun } from "../requests/requests.ts";
import { rerunRun } from "../rerun/rerun.ts";
import { waitsPeriodicJob } from "../waits/periodic-jobs.ts";
import { startedIn } from "../waits/waiting-flow.fixture.ts";
import { call } from "./call.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const SHA = "c".repeat(64);
const input = { uri: "file:///store/input", codec: "typed", sizeBytes: 3, sha256: SHA } as const;
const result = { uri: "file:///store/result", codec: "typed", sizeBytes: 3, sha256: SHA } as const;

type Flow = Awaited<ReturnType<typeof startedIn>>;
type Given = Pick<Flow["given"], "attemptId" | "epoch" | "nonce">;

/** A running run whose signed spec lets it run `train` in the pool `gpu`, and a worker of that pool. */
async function withGpu(spec: Parameters<typeof openTenancy>[1] = {}) {
  const tenancy = await openTenancy(testEnv);
  const { deps } = testEnv;
  await createPool(deps, { scope: tenancy.scope, input: { name: "gpu" } });
  await tenancy.deploy("flow", {
    version: 2,
    remoteTasks: { train: { pools: ["gpu"], compute: {} } },
    ...spec,
  });
  const flow = await startedIn(testEnv, tenancy);
  const gpu = new FakeWorker(testEnv, { ...(await tenancy.worker("gpu", {}, "gpu")) });
  const start = async (given: Given, over: { name?: string; pool?: string; retries?: number } = {}) => {
    const { name = "train", pool = "gpu", retries = 0 } = over;
    const { attemptId, epoch, nonce } = given;
    const callId = await derivedId(flow.id, "train");
    const asked = { kind: "start-task", path: "train", pool, task: { name, input, retries } } as const;
    const made = await call(deps, flow.fakeWorker.worker, {
      attemptId,
      epoch,
      nonce,
      callId,
      call: { ...asked, onParentEnd: "cancel" },
    });
    return made as CalledRun;
  };
  const read = (runId: string) => getRun(deps, tenancy.scope, { runId });
  return { tenancy, flow, gpu, start, read };
}

describe("a task in another pool", () => {
  test("has the signed needs of the task, not those of its flow", async () => {
    const compute = { gpu: { count: 1, kind: "a100" } };
    const remoteTasks = { train: { pools: ["gpu"], compute } };
    const { tenancy, flow, gpu, start, read } = await withGpu({ remoteTasks });
    const { runId } = await start(flow.given);
    expect((await read(flow.id)).needs).toEqual({});
    expect((await read(runId)).needs).toEqual({ gpu: 1, "gpu:a100": 1 });
    expect((await gpu.look({ free: 1 })).assignments).toEqual([]);
    const has = new FakeWorker(testEnv, await tenancy.worker("has", { gpu: 1, "gpu:a100": 1 }, "gpu"));
    expect((await has.look({ free: 1 })).assignments).toMatchObject([{ runId }]);
  });

  test("is a run of the same version in that pool, and its result reaches the run that waits for it", async () => {
    const { tenancy, flow, gpu, start, read } = await withGpu();
    const started = await start(flow.given);
    await tenancy.deploy("flow", { version: 3 });
    expect(await start(flow.given)).toEqual(started);
    const child = await read(started.runId);
    expect(child).toMatchObject({
      deployment: "flow",
      version: 2,
      pool: "gpu",
      state: "ready",
      parameters: {},
    });
    expect(child.trigger).toMatchObject({
      kind: "run",
      runId: flow.id,
      path: "train",
      task: { name: "train", input },
    });
    const { items } = await listRuns(testEnv.deps, tenancy.scope, { parent: flow.id, limit: 10 });
    expect(items.map(({ id }) => id)).toEqual([started.runId]);

    await flow.ask("wait:run", { kind: "run", runId: started.runId });
    await flow.fakeWorker.report(
      flow.given,
      [records.task("train", "queue"), records.task("train", "begin")],
      {
        from: 2,
      },
    );
    await flow.fakeWorker.report(flow.given, [records.ended("suspended", { waits: ["wait:run"] })], {
      from: 4,
    });
    const why = await getRunWhy(testEnv.deps, tenancy.scope, { runId: flow.id });
    expect(why.reasons).toMatchObject([
      {
        kind: "run",
        text: `It waits for its task "train" in the pool "gpu", which is run ${started.runId} and ready.`,
      },
    ]);
    const given = await gpu.take();
    expect(given).toMatchObject({ runId: started.runId, trigger: { task: { name: "train", input } } });
    await gpu.report(given, [records.started, records.ended("completed", { result })]);
    await waitsPeriodicJob.runOnce(testEnv.deps);
    const next = await flow.resumed();
    expect(await start(next.given)).toEqual({
      runId: started.runId,
      state: "completed",
      cause: null,
      result,
      error: null,
    });
  });

  test("is refused if the signed spec does not name task and pool", async () => {
    const { flow, start } = await withGpu();
    await expect(start(flow.given, { name: "other" })).rejects.toMatchObject({ code: "forbidden" });
    await expect(start(flow.given, { pool: "local" })).rejects.toMatchObject({ code: "forbidden" });
  });

  test("that failed returns its error, and runs anew once its parent has been retried", async () => {
    const { flow, gpu, start } = await withGpu({ retry: { limit: 1, delayMs: 0 } });
    const first = await start(flow.given);
    const error = { name: "RangeError", message: "too high", stack: "RangeError: too high\n    at a.ts:1:1" };
    await gpu.report(await gpu.take(), [records.started, records.ended("failed", { cause: "error", error })]);
    expect(await start(flow.given)).toMatchObject({
      runId: first.runId,
      state: "failed",
      cause: "error",
      error,
    });
    await flow.fakeWorker.report(flow.given, [records.ended("failed", { cause: "error" })], { from: 2 });
    const next = await flow.resumed();
    const second = await start(next.given);
    expect(second).toMatchObject({ state: "ready" });
    expect(second.runId).not.toBe(first.runId);
    expect(await start(next.given)).toEqual(second);
  });

  test("that is running when its parent is retried continues", async () => {
    const { flow, start } = await withGpu({ retry: { limit: 1, delayMs: 0 } });
    const first = await start(flow.given);
    await flow.fakeWorker.report(flow.given, [records.ended("failed", { cause: "error" })], { from: 2 });
    const next = await flow.resumed();
    expect(await start(next.given)).toEqual(first);
  });

  test("spends its task's retries on lost processes alone", async () => {
    const { flow, gpu, start, read } = await withGpu({ retry: { limit: 5, delayMs: 0 } });
    const { runId } = await start(flow.given, { retries: 1 });
    await gpu.report(await gpu.take(), [records.started, records.ended("failed", { cause: "killed" })]);
    expect((await read(runId)).state).toBe("ready");
    await gpu.report(await gpu.take(), [records.started, records.ended("failed", { cause: "killed" })]);
    expect(await read(runId)).toMatchObject({ state: "failed", cause: "killed", attempts: 2 });
    const other = await withGpu({ retry: { limit: 5, delayMs: 0 } });
    const thrown = await other.start(other.flow.given, { retries: 3 });
    await other.gpu.report(await other.gpu.take(), [
      records.started,
      records.ended("failed", { cause: "error" }),
    ]);
    expect(await other.read(thrown.runId)).toMatchObject({ state: "failed", attempts: 1 });
  });

  test("takes no slot of its deployment's limit, and is not cancelled by it", async () => {
    const concurrency = { limit: 1, collision: "cancel-running" } as const;
    const { tenancy, flow, start, read } = await withGpu({ concurrency });
    const { runId } = await start(flow.given);
    expect((await read(runId)).state).toBe("ready");
    expect((await read(flow.id)).state).toBe("running");
    await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    expect((await read(flow.id)).state).toBe("cancelling");
    expect((await read(runId)).state).toBe("ready");
  });

  test("cannot be rerun by itself", async () => {
    const { tenancy, flow, start } = await withGpu();
    const { runId } = await start(flow.given);
    await cancelRun(testEnv.deps, tenancy.scope, { runId, reason: "" });
    const again = rerunRun(testEnv.deps, tenancy.scope, {
      runId,
      id: tenancy.request().id,
      fromFailure: true,
      sameVersion: false,
    });
    await expect(again).rejects.toMatchObject({ code: "run-transition-not-allowed" });
  });
});
