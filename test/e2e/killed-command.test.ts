import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { identifyProcess, isAlive, type ProcessIdentity } from "@towpath/contract/process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startDev, startProcess, startStack, type TestProcess } from "../harness/index.ts";
import { CLI, cleanEnv } from "../harness/stack.ts";
import { deployHeld, ledger, letGo, startHeld } from "./fixture.ts";

/** The control plane stops its database before it ends. */
const END_MS = 60_000;
const LIMIT_MS = 240_000;

let stack: Stack;
/** The configuration of a worker. */
let file: string;
beforeAll(async () => {
  stack = await startStack();
  await deployHeld(stack);
  // Only for its configuration.
  const earlier = await stack.startWorker();
  await earlier.waitFor(/polling for work/);
  earlier.kill("SIGTERM");
  await earlier.exited;
  file = join(stack.folder, "worker.json");
});
afterAll(() => stack?.[Symbol.asyncDispose]());

/** The parent of each process, from /proc. */
async function parents(): Promise<Map<number, number>> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const rows = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
      // The name in brackets may hold spaces.
      const [, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return [pid, Number(ppid)] as const;
    }),
  );
  return new Map(rows);
}

/** All processes that a process has started, and theirs. */
async function descendantsOf(pid: number): Promise<readonly ProcessIdentity[]> {
  const parentOf = await parents();
  const isBelow = (one: number): boolean => {
    const parent = parentOf.get(one);
    return parent === pid || (parent !== undefined && parent > 1 && isBelow(parent));
  };
  const found = await Promise.all([...parentOf.keys()].filter(isBelow).map(identifyProcess));
  return found.filter((one) => one !== undefined);
}

async function aliveOf(processes: readonly ProcessIdentity[]): Promise<number[]> {
  const alive = await Promise.all(processes.map(isAlive));
  return processes.filter((_, at) => alive[at]).map(({ pid }) => pid);
}

function command(args: readonly string[], more: NodeJS.ProcessEnv = {}): TestProcess {
  return startProcess({ command: process.execPath, args: [CLI, ...args], env: cleanEnv(more) });
}

test("a killed `towpath worker start` leaves no worker behind, its run's process lives, and the next worker goes on with it", {
  timeout: LIMIT_MS,
}, async () => {
  await using first = command(["worker", "start", "--config", file]);
  await first.waitFor(/polling for work/);
  const { runId, work } = await startHeld(stack);
  const flowPid = Number(await readFile(join(work, "holding"), "utf8"));
  const started = await descendantsOf(first.pid);
  expect(started.map(({ pid }) => pid)).toContain(flowPid);
  first.kill("SIGKILL");
  await first.exited;
  await expect.poll(() => aliveOf(started), { timeout: END_MS }).toEqual([flowPid]);
  await using second = command(["worker", "start", "--config", file]);
  await second.waitFor(/polling for work/);
  await letGo(work);
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
  // Each task was executed once: the same process went on.
  expect((await ledger(work)).map((line) => line.split(" ")[0])).toEqual(["first", "hold"]);
});

test("a killed `towpath server start` leaves no control plane and no database behind", {
  timeout: LIMIT_MS,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "towpath-killed-"));
  const env = { TOWPATH_STATE_DIR: folder, TOWPATH_PORT: "0", TOWPATH_BOOTSTRAP: "1" };
  await using server = command(["server", "start"], env);
  await server.waitFor(/ready|listening/i, LIMIT_MS);
  const started = await descendantsOf(server.pid);
  expect(started.length).toBeGreaterThan(1);
  server.kill("SIGKILL");
  await server.exited;
  await expect.poll(() => aliveOf(started), { timeout: END_MS }).toEqual([]);
  await rm(folder, { recursive: true, force: true });
});

test("a killed `towpath dev` leaves nothing behind", { timeout: LIMIT_MS }, async () => {
  const config = `import { defineConfig, deployment, ociLayout } from "towpath/config";
    export default defineConfig({ project: "dev", pool: "local", registry: ociLayout(".towpath/registry"),
      deployments: [deployment({ name: "ls", command: ["ls"] })] });`;
  await using dev = await startDev({ files: { "towpath.config.ts": config } });
  await dev.process.waitFor(/Watching/, LIMIT_MS);
  const started = await descendantsOf(dev.process.pid);
  expect(started.length).toBeGreaterThan(2);
  dev.process.kill("SIGKILL");
  await dev.process.exited;
  await expect.poll(() => aliveOf(started), { timeout: END_MS }).toEqual([]);
});

test("an ended `npx towpath worker start` leaves no worker behind", { timeout: LIMIT_MS }, async () => {
  // npx runs the command in a shell, which ends at SIGTERM and passes it on to nobody.
  const line = `"${process.execPath}" "${CLI}" worker start --config "${file}"; exit`;
  const env = cleanEnv({ npm_command: "exec" });
  await using npx = startProcess({ command: "/bin/sh", args: ["-c", line], env });
  await npx.waitFor(/polling for work/);
  const started = await descendantsOf(npx.pid);
  expect(started.length).toBeGreaterThan(1);
  npx.kill("SIGTERM");
  await expect.poll(() => aliveOf(started), { timeout: END_MS }).toEqual([]);
});

test("a stop of the whole process group lets a worker that npx started finish its run", {
  timeout: LIMIT_MS,
}, async () => {
  const line = `"${process.execPath}" "${CLI}" worker start --config "${file}"; exit`;
  const env = cleanEnv({ npm_command: "exec" });
  await using npx = startProcess({ command: "/bin/sh", args: ["-c", line], env, group: true });
  await npx.waitFor(/polling for work/);
  const { runId, work } = await startHeld(stack);
  const started = await descendantsOf(npx.pid);
  // The shell, the command and the worker get the signal at once, as from systemd. The command passes it on too.
  npx.kill("SIGTERM");
  await npx.waitFor(/draining/);
  // Time for a second request by the command, which looks for npx every second.
  await sleep(1_500);
  await letGo(work);
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 1 });
  await expect.poll(() => aliveOf(started), { timeout: END_MS }).toEqual([]);
});
