import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { processesUnder } from "../../worker/src/walls/namespaces.ts";
import type { Stack } from "../harness/index.ts";

/**
 * A flow that writes its pid, then waits in its second task until a file appears.
 * It appends each step to a file, so that a test sees a second execution.
 */
const HELD_FLOW = `
import { appendFile, access, rm, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { artifact, flow, log, suspend, task } from "towpath";
import { z } from "zod";

const note = (folder, text) => appendFile(folder + "/ledger", text + "\\n");
const first = task({ name: "first" }, async (folder: string) => {
  await note(folder, "first " + process.pid);
  return 41;
});
const hold = task({ name: "hold" }, async ({ folder }: { folder: string }) => {
  await note(folder, "hold " + process.pid);
  // The file of another attempt has another user.
  await rm(folder + "/holding", { force: true });
  await writeFile(folder + "/holding", String(process.pid));
  for (;;) {
    const free = await access(folder + "/go").then(() => true, () => false);
    if (free) return 1;
    await pause(20);
  }
});
export const held = flow({ name: "held", input: z.object({ folder: z.string() }) }, async ({ folder }, ctx) => {
  log.info("before the hold, private marker 7f3a-rows-of-data");
  console.log("printed to stdout");
  console.error("printed to stderr");
  const a = await first(folder);
  const b = await hold({ folder });
  await artifact.table({ key: "sum", title: "Sum", columns: ["a", "b"], rows: [[a, b]] });
  log.info("after the hold");
  await ctx.save("rows", { rows: ["never leaves 91c2"] });
  return { sum: a + b, secret: "never leaves either 55d1" };
});
const divide = task({ name: "divide" }, async (by: number) => {
  if (by === 0) throw new RangeError("division by zero");
  return 1 / by;
});
export const asks = flow({ name: "asks" }, async () => {
  const ok = await suspend.input({ title: "Publish?", schema: z.boolean() });
  const { rate } = await suspend.input({ title: "How fast?", schema: z.object({ rate: z.number() }) });
  log.info("approved " + ok + " at " + rate);
});
export const thrower = flow({ name: "thrower" }, () => divide(0));
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { asks, held, thrower } from "./flows/held.ts";

export default defineConfig({
  project: "e2e",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(held, {}),
    deployment(thrower, {}),
    deployment(asks, {}),
    deployment({ name: "plain", command: ["sh", "-c", "echo parameters: $(cat $TOWPATH_PARAMETERS_FILE); exit 3"] }),
  ],
});
`;

/**
 * Deploys a project. `REGISTRY` in its configuration stands for the folder where the stack's workers look for code.
 * @returns its folder. @throws Error with the CLI's output.
 */
export async function deployProject(stack: Stack, files: Record<string, string>): Promise<string> {
  const config = files["towpath.config.ts"] ?? "";
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const home = await stack.project({ ...files, "towpath.config.ts": config.replace("REGISTRY", registry) });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
  return home;
}

/** Deploys the waiting flow, a flow that throws, and a plain command that fails with exit code 3. */
export async function deployHeld(stack: Stack): Promise<string> {
  return deployProject(stack, { "flows/held.ts": HELD_FLOW, "towpath.config.ts": CONFIG });
}

/** A folder that a flow and its test share. */
export const workFolder = (stack: Stack) => stack.workFolder();

/** Starts the waiting flow and resolves once it waits. */
export async function startHeld(stack: Stack): Promise<{ readonly runId: string; readonly work: string }> {
  const work = await workFolder(stack);
  const runId = await stack.run("held", { folder: work });
  await heldPid(work);
  return { runId, work };
}

const SIGNAL_MAX_MS = 60_000;

/** The pid of the waiting process on this machine, once it waits. In namespaces the process itself knows another one. */
export async function heldPid(folder: string): Promise<number> {
  return await pidOnMachine(folder, await ownPid(folder));
}

/** The pid of the waiting process as it knows it, once it waits. */
export async function ownPid(folder: string): Promise<number> {
  const deadline = performance.now() + SIGNAL_MAX_MS;
  const file = join(folder, "holding");
  while (!existsSync(file) || (await readFile(file, "utf8")) === "") {
    if (performance.now() > deadline) throw new Error(`Nothing holds in ${folder}.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return Number(await readFile(file, "utf8"));
}

/** The pid on this machine of a process of the attempt that has a folder of its stack as its parameter. */
async function pidOnMachine(folder: string, pid: number): Promise<number> {
  for (const { first, parameters } of await attemptsBeside(dirname(dirname(folder)))) {
    if (!parameters.includes(JSON.stringify(folder))) continue;
    const inside = await processesUnder(first);
    for (const row of inside) if ((await pidInside(row.pid)) === pid) return row.pid;
    if (inside.length > 0) throw new Error(`No process of the attempt in ${folder} has the pid ${pid}.`);
  }
  return pid;
}

/** What the workers below a folder have stored of their attempts. */
async function attemptsBeside(folder: string): Promise<{ first: number; parameters: string }[]> {
  const workers = await readdir(folder).catch(() => []);
  const found = workers.map(async (worker) => {
    const dir = join(folder, worker, "attempts");
    const names = await readdir(dir).catch(() => []);
    return await Promise.all(
      names.map((name) => readFile(join(dir, name, "attempt.json"), "utf8").catch(() => "")),
    );
  });
  return (await Promise.all(found)).flat().flatMap((text) => {
    if (text === "") return [];
    const { assignment, process } = JSON.parse(text);
    return process === null ? [] : { first: process.pid, parameters: JSON.stringify(assignment.parameters) };
  });
}

async function pidInside(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "latin1").catch(() => "");
  const [, numbers = ""] = /^NSpid:\s+(.+)$/m.exec(status) ?? [];
  return Number(numbers.trim().split(/\s+/).at(-1));
}

/** Lets the waiting flow continue. */
export async function letGo(folder: string): Promise<void> {
  await writeFile(join(folder, "go"), "");
}

/** The executed steps, a line each: `first PID`, `hold PID`. */
export async function ledger(folder: string): Promise<string[]> {
  return (await readFile(join(folder, "ledger"), "utf8")).trim().split("\n");
}
