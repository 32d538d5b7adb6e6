import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { z } from "zod";

const run = promisify(execFile);

/** A process named so that a recycled pid is never mistaken for it: `started` is the kernel's start time. */
export const ProcessIdentity = z.object({ pid: z.int().positive(), started: z.string() });
export type ProcessIdentity = z.output<typeof ProcessIdentity>;

async function startedOnLinux(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  if (stat === null) return null;
  // The second field is the command in parentheses and may hold spaces, so fields are counted from its end:
  // the state is the first after it, the start time (field 22 of proc(5)) the twentieth.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z") return null;
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  return `${boot.trim()}:${fields[19] ?? ""}`;
}

async function startedByPs(pid: number): Promise<string | null> {
  const answer = await run("/bin/ps", ["-o", "lstart=", "-p", String(pid)]).catch(() => null);
  return answer?.stdout.trim() || null;
}

/** Identifies a running process; null when no such process runs. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | null> {
  const started = process.platform === "linux" ? await startedOnLinux(pid) : await startedByPs(pid);
  return started === null ? null : { pid, started };
}

/** Whether exactly that process, not another one with its pid, still runs. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(identity.pid))?.started === identity.started;
}

const POLL_MS = 50;

/** Resolves to whether the process has ended within a time. */
export async function endedWithin(identity: ProcessIdentity, ms: number): Promise<boolean> {
  for (let waited = 0; waited <= ms; waited += POLL_MS) {
    if (!(await isAlive(identity))) return true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return false;
}

/** Sends a signal to a process; nothing happens when it has gone meanwhile. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended between our look and our signal, which is what the signal was for.
  }
}
