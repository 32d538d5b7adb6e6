import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";

/** Trains, asks people, and publishes. It appends each step to a file. */
const FLOW = `
import { access, appendFile, readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { ctx, flow, suspend, task } from "towpath";
import { z } from "zod";

const note = (folder: string, text: string) => appendFile(folder + "/ledger", text + "\\n");
const train = task({ name: "train" }, async ({ folder, rate }: { folder: string; rate: number }) => {
  await note(folder, "train " + rate);
  return rate * 100;
});
const publish = task({ name: "publish" }, async ({ folder, model }: { folder: string; model: number }) => {
  await note(folder, "publish " + model);
  return model;
});
const folder = z.string();
export const approval = flow({ name: "approval", input: z.object({ folder }) }, async ({ folder }) => {
  await note(folder, "process " + process.pid);
  const models = await train.map([1, 2, 3].map((rate) => ({ folder, rate })));
  const best = Math.max(...models);
  const ok = await suspend.input({ title: "Publish?", schema: z.boolean(), deadline: "3d" });
  return ok ? await publish({ folder, model: best }) : null;
});
export const parent = flow({ name: "parent", input: z.object({ folder }) }, async ({ folder }) => {
  const landed = await suspend.event("landed", { key: "seven", schema: z.object({ minutes: z.number() }) });
  const published = await ctx.runDeployment("approval", { folder });
  return { ...landed, published };
});
const hold = task({ name: "hold" }, async (folder: string) => {
  while (!(await access(folder + "/go").then(() => true, () => false))) await pause(20);
});
export const busy = flow({ name: "busy", input: z.object({ folder }) }, async ({ folder }) => {
  const asked = suspend.input({ title: "Now?", schema: z.boolean() }).then(() => note(folder, "answered"));
  await Promise.all([asked, hold(folder)]);
});
const charge = task({ name: "charge" }, async (folder: string) => {
  const isFirst = !(await readFile(folder + "/ledger", "utf8")).includes("charge");
  await note(folder, "charge");
  if (isFirst) throw new Error("no funds");
  return "charged";
});
const invoice = task({ name: "invoice" }, async (folder: string, why: string) => {
  await note(folder, "invoice: " + why);
  return "invoiced";
});
export const naps = flow({ name: "naps", input: z.object({ folder }) }, async ({ folder }) => {
  await note(folder, "process " + process.pid);
  const paid = await charge(folder).catch((error) => invoice(folder, error.name + " " + error.message));
  await suspend.for("11s");
  return paid;
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { approval, busy, naps, parent } from "./flows/approval.ts";
export default defineConfig({
  project: "suspend",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(approval, {}), deployment(busy, {}), deployment(naps, {}), deployment(parent, { mayStart: ["approval"] })],
});
`;

let stack: Stack;
let worker: TestProcess;

beforeAll(async () => {
  stack = await startStack();
  const home = await stack.project({
    "flows/approval.ts": FLOW,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
  worker = await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const newFolder = () => mkdtemp(join(stack.folder, "work-"));
const stepsIn = async (folder: string) =>
  (await readFile(join(folder, "ledger"), "utf8")).trim().split("\n").sort();
const suspended = (runId: string) => stack.waitForRun(runId, (run) => run.state === "suspended");

test("a suspended run has no process; kill -9 of everything changes nothing; the answer resumes it", async () => {
  const folder = await newFolder();
  const runId = await stack.run("approval", { folder });
  expect(await suspended(runId)).toMatchObject({ state: "suspended", attempts: 1 });
  const [pid = ""] = (await stepsIn(folder)).flatMap((line) => /^process (\d+)$/.exec(line)?.[1] ?? []);
  await expect.poll(() => isAlive(Number(pid)), { timeout: 60_000 }).toBe(false);

  worker.kill("SIGKILL");
  stack.control.kill("SIGKILL");
  await Promise.all([worker.exited, stack.control.exited]);
  await stack.restartControl();

  const asked = await stack.towpath(["answer", runId]);
  expect(asked.output).toContain("Publish?");
  const wrong = await stack.towpath(["answer", runId, "perhaps"]);
  expect(wrong.code).not.toBe(0);
  expect(wrong.output).toContain("yes or no");
  const answered = await stack.towpath(["answer", runId, "yes"]);
  expect(answered.code, answered.output).toBe(0);
  const late = await stack.towpath(["answer", runId, "no"]);
  expect(late.output).toMatch(/The run has no open question\. The latest: Publish\?.*: Approved, by admin/);

  worker = await stack.startWorker();
  const run = await stack.waitForRun(runId);
  expect(run).toMatchObject({ state: "completed", attempts: 2 });
  expect(run.attemptList.map((one) => one.state)).toEqual(["suspended", "completed"]);
  const steps = (await stepsIn(folder)).filter((line) => !line.startsWith("process"));
  expect(steps).toEqual(["publish 300", "train 1", "train 2", "train 3"]);
});

test("a parent waits for an event, then for its child, which waits for an answer", async () => {
  const folder = await newFolder();
  const runId = await stack.run("parent", { folder });
  expect(await suspended(runId)).toMatchObject({ state: "suspended", error: null });
  const sent = await stack.towpath(["event", "landed", "--about", "seven", "-p", "minutes=3"]);
  expect(sent.output).toContain("received by 1 run");
  const run = await stack.waitForRun(runId, (one) => one.state === "suspended" && one.attempts === 2);
  expect(run.state).toBe("suspended");
  const { items } = await stack.client.listWaits({ params: { runId } });
  const child = items.find((one) => one.kind === "run")?.childRunId ?? "";
  await suspended(child);
  const answered = await stack.towpath(["answer", child, "yes"]);
  expect(answered.code, answered.output).toBe(0);
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 3 });
});

test("a flow with a task under way gets an answer in the same process", async () => {
  const folder = await newFolder();
  const runId = await stack.run("busy", { folder });
  const questions = async () => (await stack.client.listWaits({ params: { runId } })).items.length;
  await expect.poll(questions, { timeout: 60_000 }).toBe(1);
  const answered = await stack.towpath(["answer", runId, "yes"]);
  expect(answered.code, answered.output).toBe(0);
  const steps = () => stepsIn(folder).catch(() => []);
  await expect.poll(steps, { timeout: 60_000 }).toEqual(["answered"]);
  await writeFile(join(folder, "go"), "");
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 1 });
});

test("followers of a run see what it waits for", async () => {
  const folder = await newFolder();
  const watched = stack.towpath(["run", "approval", "-p", `folder=${folder}`, "--watch"]);
  const isAsking = async () => {
    const { items } = await stack.client.listRuns({ query: { deployment: "approval", state: "suspended" } });
    return items[0]?.id ?? "";
  };
  await expect.poll(isAsking, { timeout: 60_000 }).not.toBe("");
  const answered = await stack.towpath(["answer", await isAsking(), "no"]);
  expect(answered.code, answered.output).toBe(0);
  const { code, output } = await watched;
  expect(code, output).toBe(0);
  expect(output).toContain('It asks "Publish?"');
});

test("a run that waits for a time resumes by itself", async () => {
  const folder = await newFolder();
  const runId = await stack.run("naps", { folder });
  expect((await suspended(runId)).state).toBe("suspended");
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 2 });
  const steps = await stepsIn(folder);
  expect(steps.filter((step) => !step.startsWith("process"))).toEqual(["charge", "invoice: Error no funds"]);
  expect(steps).toHaveLength(4);
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
