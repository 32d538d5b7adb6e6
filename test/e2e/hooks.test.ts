import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { heldPid, ledger } from "./fixture.ts";

const FLOWS = `
import { appendFileSync, writeFileSync } from "node:fs";
import { flow, log, resource } from "towpath";
import { z } from "zod";

const input = z.object({ folder: z.string() });
const note = (folder: string, text: string) => appendFileSync(folder + "/ledger", text + "\\n");
const pager = resource({ name: "pager", open: () => "pager", close: () => log.info("closed the pager") });

export const dies = flow(
  {
    name: "dies",
    input,
    onCrash: async (error, context) => log.info("told the " + (await pager.get()) + ": " + error.runCause + " in attempt " + context.attempt),
    onFailure: () => log.info("told of a failure"),
  },
  async ({ folder }, ctx) => {
    note(folder, "attempt " + ctx.attempt);
    process.kill(process.pid, "SIGKILL");
    await new Promise(() => {});
  },
);
export const leaves = flow(
  {
    name: "leaves",
    onCrash: (error) => {
      console.log(error.message);
      throw new Error("nobody answers the page");
    },
  },
  async () => process.exit(3),
);
export const deaf = flow(
  { name: "deaf", input, onCancellation: (reason) => log.info("told: " + reason.reason), onCrash: () => log.info("told of a crash") },
  async ({ folder }) => {
    note(folder, "begun");
    writeFileSync(folder + "/holding", String(process.pid));
    for (let turns = 1; turns > 0; ) turns = (turns % 1000) + 1;
  },
);
export const silent = flow({ name: "silent" }, async () => process.exit(3));
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { deaf, dies, leaves, silent } from "./flows.ts";
export default defineConfig({
  project: "hooks",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(dies, { retry: { limit: 1, delayMs: 0, causes: ["killed"] } }),
    deployment(deaf, { killGraceMs: 300 }),
    deployment(leaves),
    deployment(silent),
  ],
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const files = { "flows.ts": FLOWS, "towpath.config.ts": CONFIG.replace("REGISTRY", registry) };
  const deployed = await stack.towpath(["deploy", "--project", await stack.project(files)]);
  expect(deployed.code, deployed.output).toBe(0);
  await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const newFolder = () => mkdtemp(join(stack.folder, "work-"));
async function linesOf(runId: string, attempt?: number): Promise<string[]> {
  const query = { limit: 500, ...(attempt === undefined ? {} : { attempt }) };
  const { entries } = await stack.client.getLogs({ params: { runId }, query });
  return entries.flatMap((entry) => ("text" in entry ? [entry.text] : []));
}

test("after a crash, onCrash runs in a process of its own, once per attempt, and no other code of the flow runs", async () => {
  const folder = await newFolder();
  const run = await stack.waitForRun(await stack.run("dies", { folder }));
  expect(run).toMatchObject({ state: "failed", cause: "killed", attempts: 2 });
  expect(await ledger(folder)).toEqual(["attempt 1", "attempt 2"]);
  const told = (await Promise.all([linesOf(run.id, 1), linesOf(run.id, 2)])).flat();
  expect(told.filter((line) => /told|pager/.test(line))).toEqual([
    "told the pager: killed in attempt 1",
    "closed the pager",
    "told the pager: killed in attempt 2",
    "closed the pager",
  ]);
});

test("a hook that fails after a crash is a warning and does not change the run's outcome", async () => {
  const run = await stack.waitForRun(await stack.run("leaves"));
  expect(run).toMatchObject({ state: "failed", cause: "error", error: { name: "ProcessEnded" } });
  const lines = await linesOf(run.id);
  expect(lines).toContain("The process ended with code 3. Check its last log lines.");
  expect(lines.join("\n")).toContain("nobody answers the page");
});

test("a flow that ignores its cancellation is killed, and its onCancellation then runs", async () => {
  const folder = await newFolder();
  const id = await stack.run("deaf", { folder });
  await heldPid(folder);
  await stack.client.cancelRun({ params: { runId: id }, body: { reason: "enough" } });
  expect(await stack.waitForRun(id)).toMatchObject({ state: "cancelled", attempts: 1 });
  expect(await ledger(folder)).toEqual(["begun"]);
  expect(await linesOf(id)).toEqual([
    "The flow's process has ended. Another process runs its hook onCancellation.",
    "told: enough",
  ]);
});

test("a flow without hooks starts no process after a crash", async () => {
  const run = await stack.waitForRun(await stack.run("silent"));
  expect(run).toMatchObject({ state: "failed", cause: "error" });
  expect(await linesOf(run.id)).toEqual([expect.stringMatching(/^The process ended with code \d+\./)]);
});
