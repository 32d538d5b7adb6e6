import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startProcess } from "./process.ts";

/** Starts one process as tests do and one detached process, prints both pids, and waits. */
const STARTER = `
  const { spawn } = await import("node:child_process");
  const { startProcess } = await import(process.argv[1]);
  const { removeWithUs } = await import(process.argv[2]);
  removeWithUs(process.argv[3]);
  const started = startProcess({ command: "sleep", args: ["1000"], env: process.env });
  const left = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)", process.argv[3]], { detached: true, stdio: "ignore" });
  left.unref();
  console.log("started " + started.pid + " " + left.pid);
`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
  "a started process and its folder end with the test's process: %s",
  async (signal) => {
    const folder = await mkdtemp(join(tmpdir(), "towpath-guard-"));
    const modules = ["./process.ts", "./guard.ts"].map((name) => new URL(name, import.meta.url).href);
    await using starter = startProcess({
      command: process.execPath,
      args: ["--input-type=module", "-e", STARTER, ...modules, folder],
      env: process.env,
    });
    const [, ...pids] = await starter.waitFor(/started (\d+) (\d+)/);
    const alive = () => pids.map(Number).filter(isAlive).length;
    expect(alive()).toBe(2);
    starter.kill(signal);
    await expect.poll(alive, { timeout: 60_000 }).toBe(0);
    await expect.poll(() => existsSync(folder), { timeout: 60_000 }).toBe(false);
  },
);
