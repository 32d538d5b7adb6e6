import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type BatchCluster,
  type Stack,
  startBatchCluster,
  startStack,
  type TestProcess,
} from "../harness/index.ts";
import { deployJobs } from "./jobs.fixture.ts";
import { inEachLanguage } from "./languages.fixture.ts";

let stack: Stack;
let cluster: BatchCluster;
let worker: TestProcess;

beforeAll(async () => {
  [stack, cluster] = await Promise.all([startStack({ walls: true }), startBatchCluster()]);
  worker = await stack.startWorker();
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

let folder: string;
let submittedBefore: number;
beforeEach(async () => {
  folder = await stack.workFolder();
  submittedBefore = cluster.jobs.length;
});

inEachLanguage((language) => {
  beforeAll(() => deployJobs(stack, cluster, language));

  const WITHIN = { timeout: 120_000 };
  const submitted = () => cluster.jobs.slice(submittedBefore);
  const start = (deployment: string, die = "") =>
    stack.run(`${deployment}@${language}`, { cluster: cluster.url, folder, die });
  const suspended = (runId: string) => stack.waitForRun(runId, (run) => run.state === "suspended");
  const jobOf = async (runId: string) =>
    (await stack.client.listWaits({ params: { runId } })).items.find((one) => one.kind === "job")?.job;

  /** Waits until the cluster has been asked, lets its jobs succeed, and waits for the run's end. */
  async function succeeds(runId: string) {
    await expect.poll(() => submitted()[0]?.polls ?? 0, WITHIN).toBeGreaterThan(0);
    cluster.finish("SUCCEEDED");
    return await stack.waitForRun(runId);
  }

  /** Makes the worker die at a named point, then starts another one with its state folder. */
  async function withDyingWorker(failpoint: string, act: () => Promise<string>): Promise<string> {
    worker.kill("SIGTERM");
    await worker.exited;
    const dying = await stack.startWorker({ env: { TOWPATH_FAILPOINTS: `${failpoint}:kill:1` } });
    const runId = await act();
    await dying.exited;
    worker = await stack.startWorker();
    return runId;
  }

  describe("a run that waits for an external job", () => {
    test("has no process meanwhile; why says when the job was last polled; the run continues with its result", async () => {
      const runId = await start("trains");
      expect(await suspended(runId)).toMatchObject({ attempts: 1 });
      await expect.poll(() => jobOf(runId), WITHIN).toMatchObject({ state: "submitted", says: "RUNNING" });
      const why = await stack.towpath(["why", runId]);
      expect(why.output).toMatch(/waits for job train, last polled \d+ s ago: RUNNING/);
      expect(await succeeds(runId)).toMatchObject({ state: "completed", attempts: 2 });
      expect(submitted()).toHaveLength(1);
      const { items } = await stack.client.listTaskRuns({ params: { runId } });
      expect(items.find((one) => one.name === "train")).toMatchObject({ state: "completed" });
    });

    test("submits another job when a retry follows a failed job", async () => {
      const runId = await start("trains");
      await expect.poll(() => submitted()[0]?.polls ?? 0, WITHIN).toBeGreaterThan(0);
      cluster.finish("FAILED");
      await expect.poll(() => submitted().length, WITHIN).toBe(2);
      await expect.poll(() => submitted()[1]?.polls ?? 0, WITHIN).toBeGreaterThan(0);
      cluster.finish("SUCCEEDED");
      expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
      expect(new Set(submitted().map((job) => job.key)).size).toBe(2);
    });

    test("continues when its backend calls back, which needs the token", async () => {
      const runId = await start("calls");
      await suspended(runId);
      const url = submitted()[0]?.callbackUrl ?? "";
      const post = (to: string, body: object) =>
        fetch(to, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        });
      const ended = { outcome: "completed", result: { loss: 0.1 } };
      expect((await post(url.replace(/.{4}$/, "0000"), ended)).status).toBe(404);
      expect((await post(url, { outcome: "maybe" })).status).toBe(400);
      expect((await post(url, ended)).status).toBe(200);
      expect((await post(url, { outcome: "failed" })).status).toBe(200);
      expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 2 });
    });
  });

  describe("exactly one job is submitted when a flow's process is killed", () => {
    test.each([["before-intent"], ["before-submit"], ["before-handle"]])("%s", async (die) => {
      const runId = await start("trains", die);
      const run = await succeeds(runId);
      expect(run).toMatchObject({ state: "completed" });
      expect(run.attemptList[0]).toMatchObject({ cause: "killed" });
      expect(submitted()).toHaveLength(1);
    });

    test("after the handle is recorded, before the run is suspended", async () => {
      const runId = await start("trains", "after-handle");
      await expect.poll(async () => (await jobOf(runId))?.state, WITHIN).toBe("submitted");
      await writeFile(join(folder, "now"), "");
      expect(await succeeds(runId)).toMatchObject({ state: "completed" });
      expect(submitted()).toHaveLength(1);
    });
  });

  describe("exactly one job is submitted when the worker is killed", () => {
    test.each([
      ["intend", "as the control plane knows that it is wanted"],
      ["handle", "as the control plane knows its handle"],
    ])("%s: %s", async (failpoint) => {
      const runId = await withDyingWorker(failpoint, () => start("trains"));
      expect(await succeeds(runId)).toMatchObject({ state: "completed" });
      expect(submitted()).toHaveLength(1);
    });

    test("polled: between the poll that sees the job's end and the report", async () => {
      const runId = await withDyingWorker("polled", async () => {
        const started = await start("trains");
        await suspended(started);
        cluster.finish("SUCCEEDED");
        return started;
      });
      expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 2 });
      expect(submitted()).toHaveLength(1);
    });
  });

  test("a worker that stops hands its jobs to another worker, which polls them", async () => {
    const runId = await start("trains");
    await suspended(runId);
    await expect.poll(() => submitted()[0]?.polls ?? 0, WITHIN).toBeGreaterThan(0);
    worker.kill("SIGTERM");
    await worker.exited;
    worker = await stack.startWorker({ name: "another" });
    const polls = submitted()[0]?.polls ?? 0;
    await expect.poll(() => submitted()[0]?.polls ?? 0, WITHIN).toBeGreaterThan(polls);
    expect(await succeeds(runId)).toMatchObject({ state: "completed" });
  });

  test("a cancelled run ends after its job was cancelled, and not before", async () => {
    const runId = await start("trains");
    await suspended(runId);
    cluster.refuseCancels(true);
    const before = cluster.cancels;
    expect((await stack.towpath(["runs", "cancel", runId])).code).toBe(0);
    await expect.poll(() => cluster.cancels, WITHIN).toBeGreaterThan(before);
    expect(await stack.client.getRun({ params: { runId } })).toMatchObject({ state: "cancelling" });
    const why = await stack.towpath(["why", runId]);
    expect(why.output).toContain("must cancel its job train");
    cluster.refuseCancels(false);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled", attempts: 1 });
    expect(submitted()).toMatchObject([{ status: "CANCELLED" }]);
  });
});
