import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";

/** Trains in another pool. Each step appends a line with its pid to a file. */
const FLOW = `
import { access, appendFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { ctx, flow, log, suspend, task } from "towpath";
import { z } from "zod";

const note = (folder: string, text: string) => appendFile(folder + "/ledger", text + "\\n");
const untilFree = async (file: string) => {
  while (!(await access(file).then(() => true, () => false))) await pause(20);
};
interface Given { folder: string; rate: number; hold?: boolean }
const load = task({ name: "load" }, async (folder: string) => {
  await note(folder, "load");
  return new Map([["a", 1n]]);
});
const train = task({ name: "train", retries: 1 }, async ({ folder, rate, hold }: Given, rows: Map<string, bigint>) => {
  await note(folder, "train " + rate + " in " + process.env.TOWPATH_TEST_POOL);
  if (hold) {
    await note(folder, "holding " + process.pid);
    await untilFree(folder + "/go");
  }
  log.info("trained with " + rate);
  return { weights: new Float64Array([rate]), at: new Date(0), rows: Number(rows?.get("a") ?? 0n) };
});
const fussy = task({ name: "fussy" }, async (rate: number) => {
  if (rate > 1) throw new RangeError("the rate " + rate + " is too high", { cause: new Error("from the lab") });
  return rate;
});
const folder = z.string();
const input = z.object({ folder, hold: z.boolean().default(false) });
export const parent = flow({ name: "parent", input }, async ({ folder, hold }) => {
  await note(folder, "process " + process.pid);
  const rows = await load(folder);
  const model = await train.with({ pool: "gpu" })({ folder, rate: 3, hold }, rows);
  await note(folder, "got " + model.weights[0] + " " + model.at.toISOString() + " " + model.rows);
  return { rate: model.weights[0] };
});
export const many = flow({ name: "many", input: z.object({ folder }) }, async ({ folder }) => {
  const onGpu = train.with({ pool: "gpu" });
  const models = await onGpu.map([1, 2, 3, 4, 5].map((rate) => ({ folder, rate })), { concurrency: 2 });
  return models.map((model) => model.weights[0]);
});
export const fails = flow({ name: "fails" }, async () => {
  try {
    await fussy.with({ pool: "gpu" })(7);
  } catch (error) {
    log.warn("caught " + (error as Error).name + " " + ((error as Error).cause as Error).name);
    throw error;
  }
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { fails, many, parent } from "./flows/remote.ts";
export default defineConfig({
  project: "remote",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  stages: { trial: { store: "scratch" } },
  deployments: [deployment(parent, { concurrency: { limit: 1, collision: "cancel-new" } }), deployment(many), deployment(fails)],
});
`;

/** Each test waits for several processes to start, one after another. */
vi.setConfig({ testTimeout: 180_000 });

let stack: Stack;
let home: string;
let gpuKey: string;

function startGpu(more: object = {}): Promise<TestProcess> {
  const settings = { pool: "gpu", key: { file: gpuKey }, ...more };
  return stack.startWorker({ name: "gpu", settings });
}

beforeAll(async () => {
  stack = await startStack();
  home = await stack.project({
    "flows/remote.ts": FLOW,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const early = await stack.towpath(["deploy", "--project", home, "--no-stage"]);
  expect(early.output).toContain("does not exist");
  await stack.client.createPool({ body: { name: "gpu" } });
  const { secret } = await stack.client.createKey({ body: { kind: "worker", name: "gpu", pool: "gpu" } });
  gpuKey = join(stack.folder, "gpu.key");
  await writeFile(gpuKey, secret, { mode: 0o600 });
  const deployed = await stack.towpath(["deploy", "--project", home, "--no-stage"]);
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
  await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const newFolder = () => mkdtemp(join(stack.folder, "work-"));
const stepsIn = async (folder: string) => (await readFile(join(folder, "ledger"), "utf8")).trim().split("\n");
const childrenOf = async (parent: string) => (await stack.client.listRuns({ query: { parent } })).items;

test("a task in another pool is a child run; its parent has no process meanwhile, and a dead worker costs one attempt", async () => {
  const folder = await newFolder();
  const runId = await stack.run("parent", { folder, hold: true });
  await stack.waitForRun(runId, (run) => run.state === "suspended");
  const why = await stack.towpath(["why", runId]);
  expect(why.output).toContain('It waits for its task "train" in the pool "gpu"');
  expect((await stepsIn(folder)).filter((line) => line.startsWith("train"))).toEqual([]);
  const [child] = await childrenOf(runId);
  expect(child).toMatchObject({ deployment: "parent", pool: "gpu", state: "ready" });

  let gpu = await startGpu();
  const holder = async () =>
    Number((await stepsIn(folder)).findLast((line) => line.startsWith("holding"))?.slice("holding ".length));
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
  expect(trains.map(({ upstream }) => upstream?.paths)).toEqual([[load?.path], [load?.path]]);
  gpu.kill("SIGTERM");
  await gpu.exited;
});

test("a map over a task in another pool runs each item there, and a rerun reuses the results", async () => {
  const folder = await newFolder();
  const gpu = await startGpu();
  const runId = await stack.run("many", { folder });
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
  const runId = await stack.run("fails");
  const run = await stack.waitForRun(runId);
  expect(run).toMatchObject({ state: "failed", error: { name: "RangeError" } });
  expect(run.error?.message).toBe("the rate 7 is too high");
  expect(run.error?.stack).toContain("flows/remote.ts:");
  expect(run.error?.stack).toContain("Caused by: Error: from the lab");
  expect(run.error?.stack).toMatch(
    /Caused by: ChildFailed: Run .* of task "fussy" in pool "gpu" ended with state failed/,
  );
  const logs = await stack.client.getLogs({ params: { runId }, query: {} });
  expect(JSON.stringify(logs)).toContain("caught RangeError ChildFailed");
  gpu.kill("SIGTERM");
  await gpu.exited;
});

test("cancelling a parent cancels its task in the other pool", async () => {
  const folder = await newFolder();
  const runId = await stack.run("parent", { folder, hold: true });
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
  const deployed = await stack.towpath(["deploy", "--project", home, "--stage", "trial"]);
  expect(deployed.code, deployed.output).toBe(0);
  const folder = await newFolder();
  const runId = await stack.run("parent@trial", { folder });
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
