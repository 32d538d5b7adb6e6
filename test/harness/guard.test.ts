import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startProcess } from "./process.ts";

/** Starts a process of its own as tests do, says its number, and waits. */
const STARTER = `
  const { startProcess } = await import(process.argv[1]);
  const { removeWithUs } = await import(process.argv[2]);
  removeWithUs(process.argv[3]);
  const started = startProcess({ command: "sleep", args: ["1000"], env: process.env });
  console.log("started " + started.pid);
`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
  "what was started, and its folder, end with whoever started it: %s",
  async (signal) => {
    const folder = await mkdtemp(join(tmpdir(), "towpath-guard-"));
    const modules = ["./process.ts", "./guard.ts"].map((name) => new URL(name, import.meta.url).href);
    await using starter = startProcess({
      command: process.execPath,
      args: ["--input-type=module", "-e", STARTER, ...modules, folder],
      env: process.env,
    });
    const [, pid] = await starter.waitFor(/started (\d+)/);
    expect(isAlive(Number(pid))).toBe(true);
    starter.kill(signal);
    await expect.poll(() => isAlive(Number(pid)), { timeout: 20_000 }).toBe(false);
    await expect.poll(() => existsSync(folder), { timeout: 20_000 }).toBe(false);
  },
);
