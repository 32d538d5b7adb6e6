import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";

const FLOWS = `
import { ctx, flow } from "towpath";
import { z } from "zod";

const tell = (parameters: object) => console.log(JSON.stringify({ parameters, due: ctx.due }));

export const orders = flow(
  {
    name: "orders",
    input: z.object({ table: z.string(), at: z.string(), from: z.string(), to: z.string() }),
    dueInput: ({ at, interval }, given) => ({
      table: (given as { table: string }).table + " of " + process.env.BRANCH,
      at: at.toISOString(),
      from: interval.start.toISOString(),
      to: interval.end.toISOString(),
    }),
  },
  async (parameters) => tell(parameters),
);
export const stock = flow({ name: "stock", input: z.object({ table: z.string() }) }, async (parameters) => tell(parameters));
`;

const EVERY_MS = 1_000;
const SEEN = { timeout: 60_000, interval: 100 };

const config = (folder: string) => `
import { cron, defineConfig, deployment, every, ociLayout } from "towpath/config";
import { orders, stock } from "./flows.ts";

const parameters = { table: "sales" };
export default defineConfig({
  project: "due",
  pool: "local",
  registry: ociLayout(${JSON.stringify(`${folder}/registry`)}),
  deployments: [
    deployment(orders, {
      env: { BRANCH: "Oslo" },
      schedules: [{ name: "nightly", timing: cron("0 3 * * *", "Europe/Berlin"), endsAt: "2025-04-01T00:00:00.000Z", parameters }],
    }),
    deployment(stock, { schedules: [{ name: "often", timing: every("1s"), parameters, overlap: "skip" }] }),
  ],
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
  const files = { "flows.ts": FLOWS, "towpath.config.ts": config(stack.folder) };
  const deployed = await stack.towpath(["deploy"], { cwd: await stack.project(files) });
  expect(deployed.code, deployed.output).toBe(0);
  await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

/** The parameters and the due instant that a completed run printed. */
async function toldBy(runId: string): Promise<unknown> {
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
  const { entries } = await stack.client.getLogs({ params: { runId }, query: {} });
  const [line = ""] = entries.flatMap((entry) => (entry.kind === "line" ? [entry.text] : []));
  return JSON.parse(line);
}

/** The runs of a deployment that a schedule or a backfill created, once there is one. */
async function runsOf(deployment: string): Promise<string[]> {
  const listed = () => stack.client.listRuns({ query: { deployment } });
  await expect.poll(async () => (await listed()).items.length, SEEN).toBeGreaterThan(0);
  return (await listed()).items.map((run) => run.id);
}

test("a scheduled run knows its instant and data interval, and has the schedule's parameters", async () => {
  const runId = (await runsOf("stock")).at(-1) ?? "";
  const paused = await stack.towpath(["schedule", "pause", "stock", "often"]);
  expect(paused.code, paused.output).toBe(0);
  const { trigger } = await stack.client.getRun({ params: { runId } });
  if (trigger.kind !== "schedule") throw new Error(`started by ${trigger.kind}`);
  const at = trigger.dueAt;
  const start = new Date(Date.parse(at) - EVERY_MS).toISOString();
  expect(await toldBy(runId)).toEqual({
    parameters: { table: "sales" },
    due: { schedule: "often", at, interval: { start, end: at } },
  });
});

test("a backfilled run knows its instant too; the worker computes its parameters from it and from the schedule's", async () => {
  // The night on which Berlin's clocks went forward: this interval has 23 hours.
  const [from, at, to] = ["2025-03-29T02:00:00.000Z", "2025-03-30T01:00:00.000Z", "2025-03-31T00:00:00.000Z"];
  const range = ["--from", "2025-03-30T00:00:00Z", "--to", to];
  const asked = await stack.towpath(["backfill", "run", "orders", "nightly", ...range]);
  expect(asked.code, asked.output).toBe(0);
  const [runId = ""] = await runsOf("orders");
  expect(await toldBy(runId)).toEqual({
    parameters: { table: "sales of Oslo", at, from, to: at },
    due: { schedule: "nightly", at, interval: { start: from, end: at } },
  });
  const { parameters, trigger } = await stack.client.getRun({ params: { runId } });
  expect(parameters, "what the worker made stays there").toEqual({ table: "sales" });
  expect(trigger).toMatchObject({ kind: "backfill", dueAt: at, intervalStart: from });
});

test("a manual run has no instant", async () => {
  expect(await toldBy(await stack.run("stock", { table: "returns" }))).toEqual({
    parameters: { table: "returns" },
    due: null,
  });
});
