import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
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

/** A runner that is ready for its task. */
async function startRunner() {
  const child = spawn(process.execPath, [RUNNER, join(dir, "cache")], {
    cwd: dir,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let errors = "";
  child.stderr?.on("data", (chunk) => {
    errors += String(chunk);
  });
  await new Promise((resolve) => child.once("message", resolve));
  return { child, errors: () => errors };
}

test("a worker that is killed right after it gave a task does not end the process that took it", async () => {
  const { child, errors } = await startRunner();
  const exitFile = join(dir, "exit.json");
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.send({ kind: "command", cwd: dir, env: {}, argv: ["sh", "-c", "exit 4"], exitFile }, () => {
    child.disconnect();
  });
  expect(await exited, errors()).toBe(4);
  expect(JSON.parse(await readFile(exitFile, "utf8"))).toEqual({ code: 4, signal: null, error: null });
});

test("a runner without a task ends with its worker", async () => {
  const { child } = await startRunner();
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.disconnect();
  expect(await exited).toBe(0);
  expect(existsSync(join(dir, "exit.json"))).toBe(false);
});
