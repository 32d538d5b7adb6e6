import { rm } from "node:fs/promises";
import { join } from "node:path";
import { tasksOfRun } from "@towpath/client/attempt-tasks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { deployProject, heldPid, letGo } from "./fixture.ts";

/** Passes data in several ways around a task that waits until the test lets it continue. */
const FLOW = `
import { access, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { ctx, flow, task } from "towpath";
import { z } from "zod";

interface Row { id: number }
const load = task({ name: "load" }, async (): Promise<Row[]> => [0, 1, 2].map((id) => ({ id })));
const clean = task({ name: "clean" }, async (rows: Row[]) => rows.filter(({ id }) => id > 0));
const store = task({ name: "store" }, async (rows: Row[]) => ({ ref: await ctx.save("rows", rows) }));
const score = task({ name: "score" }, async (row: Row, _scale: number) => ({ of: row.id }));
const size = task({ name: "size" }, async (rows: Row[]) => rows.length);
const say = task({ name: "say" }, async (count: number) => "rows: " + count);
const inner = flow({ name: "inner", input: z.object({ all: z.array(z.object({ of: z.number() })) }) }, async ({ all }) => ({ all }));
const hold = task({ name: "hold" }, async (folder: string) => {
  await writeFile(folder + "/holding", String(process.pid));
  while (!(await access(folder + "/go").then(() => true, () => false))) await pause(20);
});
const report = task({ name: "report" }, async (..._parts: unknown[]) => {});
export const lineage = flow({ name: "lineage", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  const rows = await clean(await load());
  const stored = await store(rows);
  const scored = await score.map(await ctx.load(stored.ref), { args: [2] });
  await say(await size(rows));
  await hold(folder);
  const { all } = await inner.run({ all: scored });
  await report({ first: scored[0], rows: rows.slice(1), ref: { ...stored.ref } }, all);
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { lineage } from "./flow.ts";
export default defineConfig({
  project: "lineage",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(lineage, { retry: { limit: 1, delayMs: 0, causes: ["killed", "lost"] } })],
});
`;

const EXPECTED = [
  "clean → report",
  "clean → size",
  "clean → store",
  "flow:inner → report",
  "load → clean",
  "score → flow:inner",
  "score/0 → report",
  "store → report",
  "store → score/0",
  "store → score/1",
];

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ walls: true });
  await deployProject(stack, { "flow.ts": FLOW, "towpath.config.ts": CONFIG });
  await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function arrowsOf(runId: string): Promise<string[]> {
  const { items } = await stack.client.listTaskRuns({ params: { runId }, query: { limit: 200 } });
  const { attemptList } = await stack.client.getRun({ params: { runId } });
  return tasksOfRun(items, attemptList)
    .flatMap(({ path, upstream }) => (upstream?.paths ?? []).map((from) => `${from} → ${path}`))
    .map((arrow) => arrow.replaceAll(/:[0-9a-f]{16}/g, ""))
    .sort();
}

test("a run that was killed and resumed, and its rerun, tell which task received what another returned", async () => {
  const folder = await stack.workFolder();
  const runId = await stack.run("lineage", { folder });
  const pid = await heldPid(folder);
  await rm(join(folder, "holding"));
  process.kill(pid, "SIGKILL");
  await heldPid(folder);
  await letGo(folder);
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 2 });
  expect(await arrowsOf(runId)).toEqual(EXPECTED);

  const again = await stack.towpath(["rerun", runId, "--from-failure", "--watch"]);
  expect(again.code, again.output).toBe(0);
  const { items } = await stack.client.listRuns({ query: { deployment: "lineage", limit: 1 } });
  expect(items[0]?.id).not.toBe(runId);
  expect(await arrowsOf(items[0]?.id ?? "")).toEqual(EXPECTED);
});
