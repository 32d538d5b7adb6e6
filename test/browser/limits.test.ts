import { shortId } from "@towpath/contract";
import { expect, test } from "vitest";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing, panel } from "./browser.fixture.ts";

const FLOWS = `
import { flow, task } from "towpath";

const turn = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Reports when each try started and ended, which shows whether two ran at the same time. */
const load = task({ name: "load", limits: ["warehouse"] }, async (n: number) => {
  const beganMs = Date.now();
  await turn(20);
  console.log(JSON.stringify({ n, beganMs, endedMs: Date.now() }));
});

export const loads = flow({ name: "loads" }, async () => void (await Promise.all([1, 2, 3, 4].map((n) => load(n)))));

/** Its runs hold the slot that their own task needs. */
const moor = task({ name: "moor", limits: ["printer"] }, async () => {});
export const itself = flow({ name: "itself" }, async () => moor());
export const alone = flow({ name: "alone" }, async () => turn(20));
`;

const config = (folder: string) => `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { alone, itself, loads } from "./flows/limited.ts";

export default defineConfig({
  project: "limits",
  pool: "local",
  registry: ociLayout(${JSON.stringify(`${folder}/registry`)}),
  deployments: [
    deployment(loads),
    deployment(alone, { concurrency: { limit: 1 } }),
    deployment(itself, { limits: ["printer"] }),
  ],
});
`;

let stack: Stack;
const { look } = openBrowsing(async (started) => {
  stack = started;
  const home = await stack.project({ "flows/limited.ts": FLOWS, "towpath.config.ts": config(stack.folder) });
  for (const name of ["warehouse", "printer"]) await stack.client.setLimit({ body: { name, slots: 1 } });
  const deployed = await stack.towpath(["deploy"], { cwd: home });
  expect(deployed.code, deployed.output).toBe(0);
});

/** Whether each try had ended before the next one started. */
function neverTwo(spans: readonly { from: number; to: number }[]): boolean {
  const sorted = [...spans].sort((one, other) => one.from - other.from);
  return sorted.every((span, index) => index === 0 || (sorted[index - 1]?.to ?? 0) <= span.from);
}

test("runs of a deployment with one slot run one at a time, and say that they wait", async () => {
  const ids = [await stack.run("alone"), await stack.run("alone"), await stack.run("alone")];
  const [first = "", second = ""] = ids;
  const why = await stack.towpath(["why", second]);
  expect(why.code, why.output).toBe(0);
  expect(why.output).toContain("First in the wait list for the slots of deployment `alone`");
  expect(why.output).toContain(`held by run ${first} (alone)`);
  const shown = await stack.towpath(["limit", "show", "alone"]);
  expect(shown.output).toContain("Slots taken: 1, waiting: 2");
  const listed = await stack.towpath(["runs", "ls", "blocked"]);
  expect(listed.output).toContain(second.slice(-8));

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

test("tasks of one run, and of two runs on one worker, share a limit", async () => {
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

test("a run whose task needs the slot of the run waits for itself, and API, command line and page report it in the same words", async () => {
  await using _worker = await stack.startWorker({ name: "third" });
  const runId = await stack.run("itself");
  const whyOf = () => stack.client.getRunWhy({ params: { runId } });
  await expect.poll(async () => (await whyOf()).cycle, { timeout: 60_000 }).toEqual([runId]);
  const text = (await whyOf()).cycleText ?? "";
  expect(text).toBe(
    `It waits for itself: run ${runId} (itself), whose task moor waits for \`printer\`, which it has itself. To resolve this: \`towpath limit set printer 2\`, or \`towpath runs cancel ${runId}\`.`,
  );
  expect((await stack.towpath(["why", runId])).output).toContain(text);
  if (chromiumPath !== undefined) {
    const { page, faults } = await look(`/runs/${runId}`);
    const shown = text.replaceAll(/run [0-9a-f-]{36} /g, `run ${shortId(runId)} `).replaceAll("`", "");
    expect(await panel(page, "What is it waiting for?").innerText()).toContain(shown);
    expect(faults).toEqual([]);
  }
  await stack.client.setLimit({ body: { name: "printer", slots: 2 } });
  expect((await stack.waitForRun(runId)).state).toBe("completed");
});
