import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tasksOfAttempt } from "@towpath/client/attempt-tasks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { heldPid, ledger, letGo } from "./fixture.ts";
import { deployAgain, deployFlows, inEachLanguage } from "./languages.fixture.ts";
import { resumeFlows } from "./resume.fixture.ts";

let stack: Stack;
let worker: TestProcess;

beforeAll(async () => {
  stack = await startStack({ walls: "users" });
  worker = await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const newFolder = () => stack.workFolder();

/** Kills the waiting process. */
async function killHolding(folder: string): Promise<void> {
  const pid = await heldPid(folder);
  await rm(join(folder, "holding"));
  process.kill(pid, "SIGKILL");
}

/** Waits for the second process, then lets it run to the end. */
async function finish(folder: string, runId: string) {
  await heldPid(folder);
  await letGo(folder);
  return await stack.waitForRun(runId);
}

async function stepsOf(folder: string): Promise<string[]> {
  return (await ledger(folder)).filter((line) => !line.startsWith("from "));
}

/** What must hold after the process was killed in `hold`: earlier tasks ran once, and `now` is the same. */
async function expectResumed(folder: string, runId: string): Promise<void> {
  const steps = await stepsOf(folder);
  expect(steps.slice(0, 3).sort()).toEqual(["load 1", "load 2", "load 3"]);
  expect(steps.slice(3)).toEqual(["hold after 0", "hold after 1", "summarise"]);
  expect(new Set((await ledger(folder)).filter((line) => line.startsWith("from "))).size).toBe(1);
  const { items } = await stack.client.listTaskRuns({ params: { runId }, query: { limit: 200 } });
  // The attempt that completed a task stored its result, and no other attempt did.
  expect(items.map(({ name, reused }) => [name, reused])).toEqual(
    ["load", "load", "load", "hold", "hold", "summarise"].map((name) => [name, false]),
  );
  const { attemptList } = await stack.client.getRun({ params: { runId } });
  const last = tasksOfAttempt(items, attemptList);
  expect(last.map(({ name, state, reused }) => [name, state, reused])).toEqual([
    ["load", "completed", true],
    ["load", "completed", true],
    ["load", "completed", true],
    ["hold", "completed", false],
    ["summarise", "completed", false],
  ]);
}

inEachLanguage((language) => {
  let home: string;
  beforeAll(async () => {
    home = await deployFlows(stack, language, resumeFlows());
  });

  async function deploy(change: { broken?: boolean; factor?: number } = {}): Promise<void> {
    for (const [file, text] of Object.entries(resumeFlows(change)[language]))
      if (file.startsWith("flows/")) await writeFile(join(home, file), text);
    await deployAgain(stack, language, home);
  }

  test("a run whose process is killed is retried, and continues where it was", async () => {
    const folder = await newFolder();
    const runId = await stack.run(`sample@${language}`, { folder });
    await killHolding(folder);
    expect(await finish(folder, runId)).toMatchObject({ state: "completed", attempts: 2 });
    await expectResumed(folder, runId);
  });

  test("a run that is killed together with its worker continues in the worker's next process", async () => {
    const folder = await newFolder();
    const runId = await stack.run(`sample@${language}`, { folder });
    const pid = await heldPid(folder);
    await rm(join(folder, "holding"));
    worker.kill("SIGKILL");
    await worker.exited;
    process.kill(pid, "SIGKILL");
    // From here on attempts also have namespaces, where those are possible.
    worker = await stack.startWorker({ settings: { namespaces: "auto" } });
    expect(await finish(folder, runId)).toMatchObject({ state: "completed", attempts: 2 });
    await expectResumed(folder, runId);
  });

  test("a rerun from the failure, after a fix of one task, reuses what is still valid, and its plan says so", async () => {
    await deploy({ broken: true });
    const folder = await newFolder();
    await letGo(folder);
    const first = await stack.waitForRun(await stack.run(`sample@${language}`, { folder }));
    expect(first).toMatchObject({ state: "failed", version: 2 });
    await deploy();
    const plan = await stack.towpath(["rerun", first.id, "--from-failure", "--plan"]);
    expect(plan.output).toContain("version 3 (it was 2)");
    expect(plan.output).toContain("reuse 4 · run at least 1 · because summarise did not complete");
    const again = await stack.towpath(["rerun", first.id, "--from-failure", "--watch"]);
    expect(again).toMatchObject({ code: 0 });
    expect((await stepsOf(folder)).slice(4)).toEqual(["summarise", "summarise"]);

    await deploy({ factor: 100 });
    const { items } = await stack.client.listRuns({ query: { limit: 1 } });
    const [second] = items;
    if (second === undefined) throw new Error("there is no second run");
    expect(second.trigger).toMatchObject({ kind: "rerun", runId: first.id, origin: first.id });
    const changed = await stack.towpath(["rerun", second.id, "--from-failure", "--watch"]);
    expect(changed.output).toContain("reuse 2 · run at least 3 · because the code of load changed");
    expect(changed.code).toBe(0);
    const [third] = (await stack.client.listRuns({ query: { limit: 1 } })).items;
    const difference = await stack.towpath(["diff", second.id, third?.id ?? ""]);
    expect(difference.output).toMatch(/load\s+code, result changed/);
    expect(difference.output).toMatch(/hold\s+the same, reused result/);
    expect(difference.output).toMatch(/summarise\s+input, result changed/);
    expect(existsSync(join(stack.folder, "store/runs", first.id))).toBe(true);
  });

  test("an exact replay runs the old version with its old parameters", async () => {
    const folder = await newFolder();
    await letGo(folder);
    const before = await stack.waitForRun(await stack.run(`sample@${language}`, { folder }));
    // The next attempt is another user, who may not write to a file of the first.
    await rm(join(folder, "holding"));
    await deploy({ broken: true });
    const replay = await stack.towpath(["rerun", before.id, "--same-version", "--watch"]);
    expect(replay.code).toBe(0);
    expect(await stepsOf(folder)).toHaveLength(10);
  });

  test("one command deletes a run's kept values on both sides, and a rerun's plan says so", async () => {
    await deploy({ broken: true });
    const folder = await newFolder();
    await letGo(folder);
    const { id } = await stack.waitForRun(await stack.run(`sample@${language}`, { folder }));
    const config = join(stack.folder, "pruned.json");
    await writeFile(config, JSON.stringify({ url: stack.url, store: { root: join(stack.folder, "store") } }));
    const prune = () => stack.towpath(["store", "prune", "--run", id, "--config", config]);
    const pruned = await prune();
    expect(pruned.output).toMatch(/Deleted \d+ objects? of 1 run, /);
    expect(pruned.output).toMatch(/deleted [5-9] refs of 1 run\./);
    expect(existsSync(join(stack.folder, "store/runs", id))).toBe(false);
    expect((await prune()).output).toMatch(/nothing to delete[\s\S]*deleted 0 refs of 1 run\./);
    const plan = await stack.towpath(["rerun", id, "--from-failure", "--plan"]);
    expect(plan.output).toContain("reuse 0 · run at least 5");
    expect(plan.output).toContain("the checkpoint of load was deleted");
    expect((await stack.towpath(["runs", "show", id])).output).toContain("a rerun runs every task again");
  });
});
