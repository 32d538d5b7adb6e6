import { existsSync } from "node:fs";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
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

/** Short leases, so that the control plane gives up a dead worker within seconds. */
const LEASES = {
  TOWPATH_LEASE_MS: "2000",
  TOWPATH_CLAIM_LEASE_MS: "2500",
  TOWPATH_RENEW_INTERVAL_MS: "400",
  TOWPATH_JOB_LEASE_MS: "3000",
};
const WITHIN = { timeout: 60_000 };

let stack: Stack;
let cluster: BatchCluster;
let folder: string;
let submittedBefore: number;
let workers = 0;

beforeAll(async () => {
  [stack, cluster] = await Promise.all([startStack({ controlEnv: LEASES }), startBatchCluster()]);
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  folder = await mkdtemp(join(stack.folder, "work-"));
  submittedBefore = cluster.jobs.length;
});

inEachLanguage((language) => {
  beforeAll(() => deployJobs(stack, cluster, language));

  const submitted = () => cluster.jobs.slice(submittedBefore);
  const start = (die = "") => stack.run(`trains@${language}`, { cluster: cluster.url, folder, die });
  const jobOf = async (runId: string) =>
    (await stack.client.listWaits({ params: { runId } })).items.find((one) => one.kind === "job")?.job;
  const attemptsOf = async (runId: string) =>
    (await stack.client.getRun({ params: { runId } })).attemptList.map(
      ({ worker, state }) => `${worker?.name} ${state}`,
    );

  /** A worker on another machine: it shares no state with any other. */
  async function startMachine(env: NodeJS.ProcessEnv = {}): Promise<{ name: string; worker: TestProcess }> {
    workers += 1;
    const name = `machine-${workers}`;
    return { name, worker: await stack.startWorker({ name, env }) };
  }

  /** Waits until the flow stops at the named point. */
  const standing = () => expect.poll(() => existsSync(join(folder, "died")), WITHIN).toBe(true);

  /** Removes the machine for good, with everything that runs on it. */
  async function lose({ worker }: { worker: TestProcess }): Promise<void> {
    worker.kill("SIGKILL");
    await worker.exited;
    const flowPid = Number(await readFile(join(folder, "flow"), "utf8"));
    if (existsSync(`/proc/${flowPid}`)) process.kill(flowPid, "SIGKILL");
  }

  /** What must hold after the takeover: one job was submitted, and the run ended with its result. */
  async function endsOn(heir: { name: string; worker: TestProcess }, runId: string) {
    await expect.poll(() => submitted()[0]?.polls ?? 0, WITHIN).toBeGreaterThan(0);
    cluster.finish("SUCCEEDED");
    const run = await stack.waitForRun(runId);
    expect(run.state, JSON.stringify(run.error)).toBe("completed");
    expect(submitted()).toHaveLength(1);
    const result = JSON.parse(await readFile(join(folder, "result"), "utf8"));
    expect(result.id).toBe(submitted()[0]?.id);
    expect((await attemptsOf(runId)).at(-1)).toBe(`${heir.name} completed`);
    heir.worker.kill("SIGTERM");
    await heir.worker.exited;
  }

  describe("one job is submitted when the machine of the flow is lost and another takes over", () => {
    test.each([["before-intent"], ["before-submit"], ["before-handle"]])("%s", async (place) => {
      const first = await startMachine();
      const runId = await start(`${place}:stand`);
      await standing();
      await lose(first);
      const heir = await startMachine();
      await endsOn(heir, runId);
    });

    test("after the handle is recorded, before the run is suspended", async () => {
      const first = await startMachine();
      const runId = await start("after-handle:stand");
      await expect.poll(async () => (await jobOf(runId))?.state, WITHIN).toBe("submitted");
      await writeFile(join(folder, "now"), "");
      await standing();
      await lose(first);
      const heir = await startMachine();
      await endsOn(heir, runId);
    });

    test.each([
      ["intend", "as the control plane knows that the job is wanted"],
      ["handle", "as the control plane knows its handle"],
    ])("%s: %s", async (failpoint) => {
      const first = await startMachine({ TOWPATH_FAILPOINTS: `${failpoint}:kill:1` });
      const runId = await start();
      await first.worker.exited;
      await lose(first);
      const heir = await startMachine();
      await endsOn(heir, runId);
    });
  });

  describe("when the machine that polls a suspended run's job is lost, another machine polls it", () => {
    test("while the job runs", async () => {
      const first = await startMachine();
      const runId = await start();
      await stack.waitForRun(runId, (run) => run.state === "suspended");
      await expect.poll(() => submitted()[0]?.polls ?? 0, WITHIN).toBeGreaterThan(0);
      await lose(first);
      const polls = submitted()[0]?.polls ?? 0;
      const heir = await startMachine();
      await expect.poll(() => submitted()[0]?.polls ?? 0, WITHIN).toBeGreaterThan(polls);
      await endsOn(heir, runId);
    });

    test("between the poll that sees the job's end and the report", async () => {
      const first = await startMachine({ TOWPATH_FAILPOINTS: "polled:kill:1" });
      const runId = await start();
      await stack.waitForRun(runId, (run) => run.state === "suspended");
      cluster.finish("SUCCEEDED");
      await first.worker.exited;
      expect((await stack.client.getRun({ params: { runId } })).state).toBe("suspended");
      const heir = await startMachine();
      await endsOn(heir, runId);
    });
  });
});
