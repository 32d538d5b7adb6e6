import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { CANCELLED } from "./cancel.fixture.ts";
import { heldPid, ledger } from "./fixture.ts";
import { deployFlows, inEachLanguage } from "./languages.fixture.ts";

let stack: Stack;
let worker: TestProcess | undefined;
beforeAll(async () => {
  stack = await startStack({ walls: "users" });
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function linesOf(runId: string): Promise<string[]> {
  const { entries } = await stack.client.getLogs({ params: { runId }, query: { limit: 500 } });
  return entries.flatMap((entry) => ("text" in entry ? [entry.text] : []));
}
async function tasksOf(runId: string): Promise<string[]> {
  const { items } = await stack.client.listTaskRuns({ params: { runId }, query: { limit: 50 } });
  return items.map(({ name, state, tries }) => `${name} ${state} ${tries}`).sort();
}
const cancel = (runId: string) => stack.client.cancelRun({ params: { runId }, body: { reason: "enough" } });
const TOLD = "told: The run was cancelled: enough";

/** What a `catch` calls the request to stop. In Python it is no Exception. */
const CAUGHT = "caught Cancelled";

inEachLanguage((language) => {
  beforeAll(async () => {
    worker?.kill("SIGTERM");
    await worker?.exited;
    // One language has users alone, the other one also namespaces, where those are possible.
    const namespaces = language === "python" ? "auto" : false;
    [worker] = await Promise.all([
      stack.startWorker({ settings: { namespaces } }),
      deployFlows(stack, language, CANCELLED),
    ]);
  }, 180_000);

  /** Starts a run and waits until its code waits. */
  async function started(flow: string, begun = 0) {
    const folder = await stack.workFolder();
    const runId = await stack.run(`${flow}@${language}`, { folder });
    if (begun === 0) return { folder, runId, pid: await heldPid(folder) };
    const steps = async () => (existsSync(join(folder, "ledger")) ? (await ledger(folder)).length : 0);
    await expect.poll(steps, { timeout: 60_000 }).toBe(begun);
    return { folder, runId, pid: 0 };
  }

  test("a cancelled run tears down, runs its hook and closes its resources before it ends, and tries no task again", async () => {
    const { runId, folder } = await started("tidy");
    await cancel(runId);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled", attempts: 1 });
    const lines = await linesOf(runId);
    expect(lines.filter((line) => /tore down|told|closed/.test(line))).toEqual([
      "tore down cluster",
      TOLD,
      "closed",
    ]);
    expect(await ledger(folder)).toEqual(["begun"]);
    expect(await tasksOf(runId)).toEqual(["sleeps cancelled 1"]);
  });

  test("code that catches the request can start no more tasks", async () => {
    const { runId, folder } = await started("catches");
    await cancel(runId);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled" });
    expect(await ledger(folder)).toEqual(["begun", CAUGHT]);
    expect(await tasksOf(runId)).toEqual(["sleeps cancelled 1"]);
  });

  test("a flow that finishes in spite of the request has completed", async () => {
    const { runId } = await started("finishes");
    await cancel(runId);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
    expect(await linesOf(runId)).not.toContain(TOLD);
  });

  test("of a map, the running calls are asked to stop, and no other begins", async () => {
    const { runId, folder } = await started("many", 3);
    await cancel(runId);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled" });
    expect(await ledger(folder)).toEqual(["begun", "begun", "begun"]);
    expect(await tasksOf(runId)).toHaveLength(3);
  });

  test("a task in a thread or process of its own is ended although it does not listen", async () => {
    const { runId, pid } = await started("spins");
    await cancel(runId);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled", attempts: 1 });
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test("a blocked process is killed, and its hook then runs in another one", async () => {
    const { runId, pid } = await started("blocks");
    await cancel(runId);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled", attempts: 1 });
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect((await linesOf(runId)).filter((line) => line.startsWith("told"))).toEqual([TOLD]);
  });

  test("a function that ignores the request does not keep its run", async () => {
    const { runId, pid } = await started("ignores");
    await cancel(runId);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled", attempts: 1 });
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect((await linesOf(runId)).filter((line) => line.startsWith("told"))).toHaveLength(1);
  });

  test("a suspended run has no process, so its hook runs in an attempt of its own", async () => {
    const runId = await stack.run(`asks@${language}`, { folder: await stack.workFolder() });
    await stack.waitForRun(runId, ({ state }) => state === "suspended");
    expect((await cancel(runId)).state).toBe("cancelling");
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled", attempts: 2 });
    await expect.poll(() => linesOf(runId), { timeout: 30_000 }).toContain(TOLD);
  });

  test("branches of a flow that await clean up", async () => {
    const { runId, folder } = await started("branches", 2);
    await cancel(runId);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled" });
    expect(await ledger(folder)).toEqual(["begun", "begun", "cleaned up", "cleaned up"]);
  });
});
