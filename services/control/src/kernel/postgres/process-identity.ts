import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A process named so that a recycled pid is never mistaken for it: `started` is the kernel's start time. */
export interface ProcessIdentity {
  pid: number;
  started: string;
}

/** Identifies a running process; undefined when no such process runs. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const started = process.platform === "linux" ? await startedOnLinux(pid) : await startedByPs(pid);
  return started === undefined ? undefined : { pid, started };
}

/** Whether exactly that process, not another one with its pid, still runs. */
export async function isSameProcessAlive(identity: ProcessIdentity): Promise<boolean> {
  const present = await identifyProcess(identity.pid);
  return present !== undefined && present.started === identity.started;
}

/** The argument vector of a running process, or undefined when it is gone or may not be read. */
export async function readCommandLine(pid: number): Promise<string[] | undefined> {
  if (process.platform === "linux") {
    const raw = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    return raw === "" ? undefined : raw.replace(/\0$/, "").split("\0");
  }
  const line = await psField(pid, "command=");
  return line?.split(" ");
}

async function startedOnLinux(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat === undefined) return undefined;
  // The second field is the command in parentheses and may hold spaces, so fields are counted from its end:
  // the state is the first after it, the start time (field 22 of proc(5)) the twentieth.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z") return undefined;
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  return `${boot.trim()}:${fields[19] ?? ""}`;
}

async function startedByPs(pid: number): Promise<string | undefined> {
  return psField(pid, "lstart=");
}

async function psField(pid: number, field: string): Promise<string | undefined> {
  const answer = await run("/bin/ps", ["-o", field, "-p", String(pid)]).catch(() => undefined);
  const text = answer?.stdout.trim();
  return text === undefined || text === "" ? undefined : text;
}
