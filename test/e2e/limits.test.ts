import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";

const FLOWS = `
import { flow, task } from "towpath";

const turn = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Tells when each try began and ended, so that a reader sees whether two went at once. */
const load = task({ name: "load", limits: ["warehouse"] }, async (n: number) => {
  const beganMs = Date.now();
  await turn(20);
  console.log(JSON.stringify({ n, beganMs, endedMs: Date.now() }));
});

export const loads = flow({ name: "loads" }, async () => void (await Promise.all([1, 2, 3, 4].map((n) => load(n)))));
export const alone = flow({ name: "alone" }, async () => turn(20));
`;

const config = (folder: string) => `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { alone, loads } from "./flows/limited.ts";

export default defineConfig({
  project: "limits",
  pool: "local",
  registry: ociLayout(${JSON.stringify(`${folder}/registry`)}),
  deployments: [deployment(loads), deployment(alone, { concurrency: { limit: 1 } })],
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
  const home = await stack.project({ "flows/limited.ts": FLOWS, "towpath.config.ts": config(stack.folder) });
  await stack.client.setLimit({ body: { name: "warehouse", slots: 1 } });
  const deployed = await stack.towpath(["deploy"], { cwd: home });
  expect(deployed.code, deployed.output).toBe(0);
});
afterAll(() => stack?.[Symbol.asyncDispose]());

/** Whether the first is over before the second begins, in the order of their beginnings. */
function neverTwo(spans: readonly { from: number; to: number }[]): boolean {
  const sorted = [...spans].sort((one, other) => one.from - other.from);
  return sorted.every((span, index) => index === 0 || (sorted[index - 1]?.to ?? 0) <= span.from);
}

test("runs of a deployment with one slot wait for each other and say so; then go one at a time", async () => {
  const ids = [await stack.run("alone"), await stack.run("alone"), await stack.run("alone")];
  const [first = "", second = ""] = ids;
  const why = await stack.towpath(["why", second]);
  expect(why.code, why.output).toBe(0);
  expect(why.output).toContain("First in line for the slots of deployment `alone`");
  expect(why.output).toContain(`held by run ${first} (alone)`);
  const shown = await stack.towpath(["limit", "show", "alone"]);
  expect(shown.output).toContain("1 taken, 2 in line");
  const listed = await stack.towpath(["runs", "ls", "blocked"]);
  expect(listed.output).toContain(second);

  await using worker = await stack.startWorker();
  const runs = await Promise.all(ids.map((id) => stack.waitForRun(id)));
  expect(
    runs.map((run) => run.state),
    worker.output(),
  ).toEqual(["completed", "completed", "completed"]);
  const spans = runs.map((run) => ({
    from: Date.parse(run.startedAt ?? ""),
    to: Date.parse(run.endedAt ?? ""),
  }));
  expect(neverTwo(spans)).toBe(true);
});

test("tasks of one run, and of two on one worker, go through a limit one at a time", async () => {
  await using worker = await stack.startWorker({ name: "other" });
  const ids = [await stack.run("loads"), await stack.run("loads")];
  const runs = await Promise.all(ids.map((id) => stack.waitForRun(id)));
  expect(
    runs.map((run) => run.state),
    worker.output(),
  ).toEqual(["completed", "completed"]);
  const spans: { from: number; to: number }[] = [];
  for (const runId of ids) {
    const { entries } = await stack.client.getLogs({ params: { runId }, query: {} });
    for (const entry of entries) {
      if (entry.kind !== "line" || !entry.text.startsWith("{")) continue;
      const { beganMs, endedMs } = JSON.parse(entry.text);
      spans.push({ from: beganMs, to: endedMs });
    }
  }
  expect(spans).toHaveLength(8);
  expect(neverTwo(spans)).toBe(true);
});
