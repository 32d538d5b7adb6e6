import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const RUNNER = fileURLToPath(new URL("./runner.ts", import.meta.url));

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "towpath-runner-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function exitWith4() {
  const argv = ["sh", "-c", "exit 4"];
  const files = { takenFile: join(dir, "taken"), exitFile: join(dir, "exit.json") };
  return { kind: "command", cwd: dir, env: {}, argv, python: null, packages: null, ...files };
}

function spawnRunner() {
  const child = spawn(process.execPath, [RUNNER, join(dir, "cache")], {
    cwd: dir,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let errors = "";
  child.stderr?.on("data", (chunk) => {
    errors += String(chunk);
  });
  return { child, errors: () => errors };
}

/** A runner that is ready for its task. */
async function startRunner() {
  const started = spawnRunner();
  await new Promise((resolve) => started.child.once("message", resolve));
  return started;
}

test("a worker that is killed right after it gave a task does not end the process that took it", async () => {
  const { child, errors } = await startRunner();
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.send(exitWith4(), () => {
    child.disconnect();
  });
  expect(await exited, errors()).toBe(4);
  const exit = JSON.parse(await readFile(exitWith4().exitFile, "utf8"));
  expect(exit).toEqual({ code: 4, signal: null, error: null });
});

test("a runner that is given its task before it is warm takes it", async () => {
  const { child, errors } = spawnRunner();
  const changes: unknown[] = [];
  child.on("message", (message) => changes.push(message));
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.send(exitWith4());
  expect(await exited, errors()).toBe(4);
  expect(changes).toContain("taken");
});

test("a warm runner leaves nothing of its warm-up behind", async () => {
  const { child } = await startRunner();
  expect((await readdir(dir)).filter((name) => name !== "cache")).toEqual([]);
  child.kill();
});

test("a runner without a task ends with its worker", async () => {
  const { child } = await startRunner();
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.disconnect();
  expect(await exited).toBe(0);
  expect(existsSync(join(dir, "exit.json"))).toBe(false);
});
