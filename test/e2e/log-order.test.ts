import type { LogEntry } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { deployProject, heldPid, letGo, workFolder } from "./fixture.ts";

const FLOWS = `
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { flow, log, task } from "towpath";
import { z } from "zod";

const pair = (index: number) => {
  console.log("line " + index * 2);
  log.info("line " + (index * 2 + 1));
};
const block = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

export const turns = flow({ name: "turns" }, async () => {
  for (let index = 0; index < 500; index++) pair(index);
  for (let index = 500; index < 1000; index++) {
    pair(index);
    if (index % 10 === 0) await pause(index % 3);
  }
});
const settled = task({ name: "settled" }, async () => 1);
const inThread = task({ name: "in-thread", thread: true }, async (count: number) => {
  for (let index = 0; index < count; index++) pair(index);
});
export const threads = flow({ name: "threads" }, () => inThread(300));
export const blocks = flow({ name: "blocks" }, async () => {
  log.info("line 0");
  console.log("line 1");
  block(300);
  console.error("line 2");
  log.warn("line 3");
  spawnSync("sh", ["-c", "echo line 4; echo not a whole line | tr -d '\\\\n'"], { stdio: "inherit" });
  log.info("line 5");
  console.log(": line 6");
  log.info("line 7");
  process.stdout.write("line 8");
});
export const leaves = flow({ name: "leaves" }, async () => {
  for (let index = 0; index < 50; index++) pair(index);
  // Until the worker has the lines: a process that exits prints the others again.
  await settled();
  console.log("line 100");
  process.exit(3);
});
export const meanwhile = flow({ name: "meanwhile", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  for (let index = 0; index < 50; index++) pair(index);
  writeFileSync(folder + "/holding", String(process.pid));
  for (let index = 50; index < 1000 || !existsSync(folder + "/go"); index++) {
    if (index < 1000) pair(index);
    if (index % 5 === 0) await pause(2);
  }
});
export const floods = flow({ name: "floods" }, async () => {
  const much = ("x".repeat(1023) + "\\n").repeat(1024);
  log.info("before");
  for (let mib = 0; mib < 20; mib++) process.stdout.write(much);
  log.info("after");
  return "done";
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { blocks, floods, leaves, meanwhile, threads, turns } from "./flows.ts";
export default defineConfig({
  project: "order",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [blocks, floods, leaves, meanwhile, threads, turns].map((flow) => deployment(flow)),
});
`;

let stack: Stack;
let worker: Awaited<ReturnType<Stack["startWorker"]>>;
beforeAll(async () => {
  stack = await startStack({ walls: true });
  await deployProject(stack, { "flows.ts": FLOWS, "towpath.config.ts": CONFIG });
  worker = await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `line ${index}`);

/** Reads the log of a run that has ended. Lines may arrive after the end of the run. */
async function entriesOf(runId: string): Promise<LogEntry[]> {
  const all: LogEntry[] = [];
  let after = "0:0";
  const readToEnd = async () => {
    for (;;) {
      const page = await stack.client.getLogs({ params: { runId }, query: { limit: 5000, after } });
      all.push(...page.entries);
      after = page.next;
      if (page.end || page.entries.length === 0) return page.end;
    }
  };
  await expect.poll(readToEnd).toBe(true);
  return all;
}

async function writtenBy(runId: string) {
  const lines = (await entriesOf(runId)).flatMap((entry) => (entry.kind === "line" ? [entry] : []));
  const own = lines.filter(({ stream }) => stream !== "worker");
  return { texts: own.map(({ text }) => text), times: own.map(({ at }) => at) };
}

test("printed lines and log lines keep the order in which a flow wrote them", async () => {
  const run = await stack.waitForRun(await stack.run("turns", {}));
  expect(run).toMatchObject({ state: "completed" });
  const { texts, times } = await writtenBy(run.id);
  expect(texts).toEqual(numbered(2000));
  expect(times).toEqual(times.toSorted());
});

test("the order holds while the flow blocks, over both files, for child processes and at the end of the process", async () => {
  const [blocks, leaves] = await Promise.all([stack.run("blocks", {}), stack.run("leaves", {})]);
  expect(await stack.waitForRun(blocks)).toMatchObject({ state: "completed" });
  expect((await writtenBy(blocks)).texts).toEqual([
    ...numbered(6),
    "not a whole line: line 6",
    "line 7",
    "line 8",
  ]);
  expect(await stack.waitForRun(leaves)).toMatchObject({ state: "failed" });
  expect((await writtenBy(leaves)).texts).toEqual(numbered(101));
});

test("the order holds over a kill of the worker, and each line is there once", async () => {
  const folder = await workFolder(stack);
  const runId = await stack.run("meanwhile", { folder });
  await heldPid(folder);
  worker.kill("SIGKILL");
  await worker.exited;
  worker = await stack.startWorker();
  await letGo(folder);
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
  expect((await writtenBy(runId)).texts).toEqual(numbered(2000));
});

test("the order holds in a task's thread", async () => {
  const run = await stack.waitForRun(await stack.run("threads", {}));
  expect(run).toMatchObject({ state: "completed" });
  expect((await writtenBy(run.id)).texts).toEqual(numbered(600));
});

test("a flood of output delays no log line until it is read", async () => {
  const run = await stack.waitForRun(await stack.run("floods", {}));
  expect(run).toMatchObject({ state: "completed" });
  const entries = await entriesOf(run.id);
  const { texts } = await writtenBy(run.id);
  expect(texts.slice(0, 1)).toEqual(["before"]);
  expect(texts).toContain("after");
  const lost = entries.reduce((sum, entry) => sum + (entry.kind === "gap" ? entry.count : 0), 0);
  expect(texts.length + lost).toBe(20 * 1024 + 2);
});
