import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";

const FLOWS = `
import { ctx, flow, log, task } from "towpath";
import { getHeapSpaceStatistics } from "node:v8"; import { z } from "zod";

const stuck = task({ name: "stuck", timeoutMs: 200, timeoutGraceMs: 100 }, async () => {
  let turns = 1;
  while (turns > 0) turns = (turns % 1000) + 1;
});
export const blocks = flow({ name: "blocks" }, async () => await stuck());

const before = task({ name: "before" }, async () => ctx.attempt);
const deaf = task(
  { name: "deaf", retries: 5, timeoutMs: 200, timeoutGraceMs: 100, ifIgnored: "kill" },
  async () => ctx.attempt === 1 ? await new Promise(() => setInterval(() => {}, 1_000)) : ctx.attempt,
);
export const ignores = flow({ name: "ignores" }, async () => {
  const began = await before();
  return { began, ended: await deaf().catch(() => "caught") };
});

const spin = task({ name: "spin", thread: true, timeoutMs: 3_000, timeoutGraceMs: 100 }, async () => {
  log.info("spinning in a thread");
  let turns = 1;
  while (turns > 0) turns = (turns % 1000) + 1;
});
const sum = task({ name: "sum", thread: true }, async (count: number) => {
  let total = 0;
  for (let one = 1; one <= count; one++) total += one;
  return total;
});
export const threads = flow({ name: "threads" }, async () => {
  const error = await spin().catch((thrown) => thrown);
  log.info(error.name);
  return (await sum.map([10, 100])).join();
});

const price = task({ name: "price", cache: { by: "input" } }, async (day: string) => day.length);
const inner = flow({ name: "inner" }, async () => await price("monday"));
export const outer = flow({ name: "outer", runName: () => "two prices" }, async () => await inner.run());

const fails = task({ name: "fails" }, async () => {
  throw new Error("page 3", { cause: new TypeError("fetch failed", { cause: new Error("ECONNRESET") }) });
});
export const nested = flow({ name: "nested" }, async () => await fails());

const double = task({ name: "double" }, async (n: number) => n * 2);
export const mapped = flow({ name: "mapped", input: z.object({ count: z.number() }) }, async ({ count }) => {
  const numbers = Array.from({ length: count }, (_, n) => n);
  const results = await double.map(numbers, { concurrency: 100 });
  const newSpace = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
  return {
    sum: results.reduce((sum, one) => sum + one, 0),
    peakBytes: process.resourceUsage().maxRSS * 1024,
    newBytes: newSpace?.space_size,
  };
});
`;
const NAMES = ["blocks", "ignores", "threads", "outer", "nested", "mapped"];
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import * as flows from "./flows.ts";
export default defineConfig({
  project: "tasks",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: Object.values(flows).map((flow) =>
    deployment(flow, flow.name === "ignores" ? { retry: { limit: 1, delayMs: 0, causes: ["timeout"] } } : {}),
  ),
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ walls: true });
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const home = await stack.project({
    "flows.ts": FLOWS,
    "towpath.config.ts": CONFIG.replace("REGISTRY", registry),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
  for (const name of NAMES) expect(deployed.output).toContain(name);
  await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const tasksOf = async (runId: string) =>
  (await stack.client.listTaskRuns({ params: { runId }, query: { limit: 50 } })).items;
const linesOf = async (runId: string) => {
  const { entries } = await stack.client.getLogs({ params: { runId }, query: { limit: 500 } });
  return entries.flatMap((entry) => ("text" in entry ? [entry.text] : []));
};

test("a task that blocks its process fails the run with cause timeout and the blocking line", async () => {
  const run = await stack.waitForRun(await stack.run("blocks"));
  expect(run).toMatchObject({ state: "failed", cause: "timeout", error: { name: "TaskTimeout" } });
  expect(run.error?.stack).toMatch(/at .*flows\.ts:7/);
  expect(await tasksOf(run.id)).toMatchObject([{ name: "stuck", state: "failed" }]);
});

test("a task that ignores its time limit ends its attempt with a message; the next attempt reuses completed tasks", async () => {
  const run = await stack.waitForRun(await stack.run("ignores"));
  expect(run, JSON.stringify(run.error)).toMatchObject({ state: "completed", attempts: 2 });
  const result = await readFile(fileURLToPath(run.result?.uri ?? ""), "utf8");
  expect(JSON.parse(result)).toEqual({ began: 1, ended: 2 });
  const tasks = await tasksOf(run.id);
  expect(tasks.map(({ name, state, reused, tries }) => [name, state, reused, tries])).toEqual([
    ["before", "completed", false, 1],
    ["deaf", "failed", false, 1],
    ["deaf", "completed", false, 1],
  ]);
});

test("tasks of a deployed bundle run in threads, and their time limit ends the thread", async () => {
  const run = await stack.waitForRun(await stack.run("threads"));
  expect(run, JSON.stringify(run.error)).toMatchObject({ state: "completed" });
  expect(await linesOf(run.id)).toEqual(expect.arrayContaining(["spinning in a thread", "TaskTimeout"]));
  expect((await tasksOf(run.id)).map(({ name, state }) => [name, state])).toEqual([
    ["spin", "failed"],
    ["sum", "completed"],
    ["sum", "completed"],
  ]);
});

test("the second run shows a cached task as reused, below the flow that called it; both runs have their name", async () => {
  const first = await stack.waitForRun(await stack.run("outer"));
  const second = await stack.waitForRun(await stack.run("outer"));
  expect([first, second]).toMatchObject([
    { state: "completed", name: "two prices" },
    { state: "completed", name: "two prices" },
  ]);
  expect((await tasksOf(second.id)).map(({ name, reused }) => [name, reused])).toEqual([
    ["inner", false],
    ["price", true],
  ]);
});

test("an error keeps its chain of causes from the task to the API", async () => {
  const run = await stack.waitForRun(await stack.run("nested"));
  expect(run.error).toMatchObject({ name: "Error", message: "page 3" });
  expect(run.error?.stack).toMatch(
    /flows\.ts:\d+[\s\S]*Caused by: TypeError: fetch failed[\s\S]*Caused by: Error: ECONNRESET/,
  );
});

/** The outcome of a run that maps this many items, and the peak memory of its process. */
async function mapped(count: number): Promise<{ sum: number; peakBytes: number; newBytes: number }> {
  const run = await stack.waitForRun(await stack.run("mapped", { count }));
  if (run.result === null) throw new Error(`The run is ${run.state}: ${run.error?.message}`);
  return JSON.parse(await readFile(fileURLToPath(run.result.uri), "utf8"));
}

test("a process that maps 10,000 items needs hardly more memory than one that maps 500", async () => {
  const [few, many] = [await mapped(500), await mapped(10_000)];
  expect(many.sum).toBe(10_000 * 9_999);
  expect(many.peakBytes / few.peakBytes).toBeLessThan(1.2);
  // In a long-lived process V8 would let the young generation grow to 96 MiB.
  expect(many.newBytes).toBeLessThanOrEqual(24 * 1024 * 1024);
});
