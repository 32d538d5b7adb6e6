import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { deployFlows, inEachLanguage, type Language } from "./languages.fixture.ts";
import { REMOTE } from "./remote.fixture.ts";

/** Each test waits for several processes to start, one after another. */
vi.setConfig({ testTimeout: 180_000 });

/** What the failed run shows of the error and its causes, in each language. */
const ERRORS: Record<Language, { name: string; file: string; first: string; child: RegExp }> = {
  typescript: {
    name: "RangeError",
    file: "flows/remote.ts:",
    first: "Caused by: Error: from the lab",
    child: /Caused by: ChildFailed: Run .* of task "fussy" in pool "gpu" ended with state failed/,
  },
  python: {
    name: "ValueError",
    file: 'File "flows/remote.py", line ',
    first: "RuntimeError: from the lab",
    child: /ChildFailed: Run .* of task "fussy" in pool "gpu" ended with state failed/,
  },
};

let stack: Stack;
let gpuKey: string;

function startGpu(more: object = {}): Promise<TestProcess> {
  const settings = { pool: "gpu", key: { file: gpuKey }, ...more };
  return stack.startWorker({ name: "gpu", settings });
}

beforeAll(async () => {
  stack = await startStack();
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const files = Object.entries(REMOTE.typescript).map(([path, text]) => [
    path,
    text.replace("REGISTRY", registry),
  ]);
  const early = await stack.project(Object.fromEntries(files));
  const told = await stack.towpath(["deploy", "--project", early, "--stage", "typescript"]);
  expect(told.output).toContain("does not exist");
  await stack.client.createPool({ body: { name: "gpu" } });
  const { secret } = await stack.client.createKey({ body: { kind: "worker", name: "gpu", pool: "gpu" } });
  gpuKey = join(stack.folder, "gpu.key");
  await writeFile(gpuKey, secret, { mode: 0o600 });
  await stack.startWorker();
}, 180_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

const newFolder = () => mkdtemp(join(stack.folder, "work-"));
const stepsIn = async (folder: string) => (await readFile(join(folder, "ledger"), "utf8")).trim().split("\n");
const childrenOf = async (parent: string) => (await stack.client.listRuns({ query: { parent } })).items;

inEachLanguage((language) => {
  let home: string;
  beforeAll(async () => {
    home = await deployFlows(stack, language, REMOTE);
  }, 180_000);

  test("a task in another pool is a child run; its parent has no process meanwhile, and a dead worker costs one attempt", async () => {
    const folder = await newFolder();
    const runId = await stack.run(`parent@${language}`, { folder, hold: true });
    await stack.waitForRun(runId, (run) => run.state === "suspended");
    const why = await stack.towpath(["why", runId]);
    expect(why.output).toContain('It waits for its task "train" in the pool "gpu"');
    expect((await stepsIn(folder)).filter((line) => line.startsWith("train"))).toEqual([]);
    const [child] = await childrenOf(runId);
    expect(child).toMatchObject({ deployment: `parent@${language}`, pool: "gpu", state: "ready" });

    let gpu = await startGpu();
    const holder = async () =>
      Number(
        (await stepsIn(folder)).findLast((line) => line.startsWith("holding"))?.slice("holding ".length),
      );
    await expect.poll(holder, { timeout: 60_000 }).toBeGreaterThan(0);
    gpu.kill("SIGKILL");
    process.kill(await holder(), "SIGKILL");
    await gpu.exited;
    await writeFile(join(folder, "go"), "");
    gpu = await startGpu();

    const run = await stack.waitForRun(runId);
    expect(run, JSON.stringify(run.error)).toMatchObject({ state: "completed", attempts: 2 });
    const steps = (await stepsIn(folder)).filter((line) => !/^(process|holding)/.test(line));
    expect(steps.toSorted()).toEqual([
      "got 3 1970-01-01T00:00:00.000Z 1",
      "load",
      "train 3 in undefined",
      "train 3 in undefined",
    ]);
    const [ended] = await childrenOf(runId);
    expect(ended).toMatchObject({ state: "completed", attempts: 2, name: "train" });
    const shown = await stack.towpath(["runs", "show", runId]);
    expect(shown.output).toMatch(/task train +gpu +✓ completed/);
    const tasks = await stack.client.listTaskRuns({ params: { runId } });
    const states = tasks.items.map(({ name, state, reused }) => [name, state, reused]);
    expect(states).toEqual([
      ["load", "completed", false],
      ["train", "suspended", false],
      ["train", "completed", false],
    ]);
    const [load, ...trains] = tasks.items;
    expect(trains.map((train) => train.upstream?.paths)).toEqual([[load?.path], [load?.path]]);
    gpu.kill("SIGTERM");
    await gpu.exited;
  });

  test("a map over a task in another pool runs each item there, and a rerun reuses the results", async () => {
    const folder = await newFolder();
    const gpu = await startGpu();
    const runId = await stack.run(`many@${language}`, { folder });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
    expect(await childrenOf(runId)).toHaveLength(5);
    expect(await stepsIn(folder)).toHaveLength(5);
    const again = await stack.towpath(["rerun", runId, "--from-failure", "--watch"]);
    expect(again.code, again.output).toBe(0);
    expect(await stepsIn(folder)).toHaveLength(5);
    const [child] = await childrenOf(runId);
    const alone = await stack.towpath(["rerun", child?.id ?? "", "--from-failure"]);
    expect(alone.output).toContain("Rerun run");
    gpu.kill("SIGTERM");
    await gpu.exited;
  });

  test("an error thrown in the other pool is thrown here, with its name, its stack and the child run as its cause", async () => {
    const gpu = await startGpu();
    const runId = await stack.run(`fails@${language}`);
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "failed", error: { name: ERRORS[language].name } });
    expect(run.error?.message).toBe("the rate 7 is too high");
    expect(run.error?.stack).toContain(ERRORS[language].file);
    expect(run.error?.stack).toContain(ERRORS[language].first);
    expect(run.error?.stack).toMatch(ERRORS[language].child);
    const logs = await stack.client.getLogs({ params: { runId }, query: {} });
    expect(JSON.stringify(logs)).toContain(`caught ${ERRORS[language].name} ChildFailed`);
    gpu.kill("SIGTERM");
    await gpu.exited;
  });

  test("cancelling a parent cancels its task in the other pool", async () => {
    const folder = await newFolder();
    const runId = await stack.run(`parent@${language}`, { folder, hold: true });
    await stack.waitForRun(runId, (run) => run.state === "suspended");
    await stack.client.cancelRun({ params: { runId }, body: { reason: "enough" } });
    const stateOfChild = async () => (await childrenOf(runId))[0]?.state;
    await expect.poll(stateOfChild, { timeout: 60_000 }).toBe("cancelled");
  });

  test("doctor says whether the workers of both pools reach one store", async () => {
    const doctor = async () => (await stack.towpath(["doctor"], { cwd: home })).output;
    const told = (text: string | RegExp) =>
      expect.poll(doctor, { timeout: 60_000, interval: 500 }).toMatch(text);
    const apart = await startGpu({ store: { root: join(stack.folder, "elsewhere") } });
    await told(
      /✗ one store +the worker gpu of "gpu" uses another location as the store than worker of "local"/,
    );
    apart.kill("SIGTERM");
    await apart.exited;
    const gpu = await startGpu();
    await told(/✓ one store +local and gpu share the store/);
    gpu.kill("SIGTERM");
    await gpu.exited;
  });

  test("a stage selects a store by name; a worker without that store says so", async () => {
    const deployed = await stack.towpath(["deploy", "--project", home, "--stage", `${language}-trial`]);
    expect(deployed.code, deployed.output).toBe(0);
    const folder = await newFolder();
    const runId = await stack.run(`parent@${language}-trial`, { folder });
    const given = await stack.waitForRun(runId, (run) => run.attemptList[0]?.releaseReason != null);
    expect(given.attemptList[0]?.releaseReason).toContain('This worker has no store called "scratch"');
    const stores = { scratch: { root: join(stack.folder, "scratch") } };
    const [local, gpu] = [
      await stack.startWorker({ name: "trial", settings: { stores } }),
      await startGpu({ stores }),
    ];
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "completed" });
    expect(run.result?.uri).toContain("/scratch/runs/");
    for (const one of [local, gpu]) one.kill("SIGTERM");
    await Promise.all([local.exited, gpu.exited]);
  });
});
