import { readdir, readFile } from "node:fs/promises";

/** What a clock tick of the kernel's accounts is, milliseconds: Linux tells it so to every process. */
const TICK_MS = 10;

/** What a process has used of the processor so far. */
export interface Used {
  readonly pid: number;
  readonly parent: number;
  readonly cpuMs: number;
}

/** Processor time of every process so far, user's and system's, from /proc. */
export async function processorTimes(): Promise<Used[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      const [parent, user, system] = [fields[1], fields[11], fields[12]].map(Number);
      return { pid: Number(pid), parent: parent ?? 0, cpuMs: ((user ?? 0) + (system ?? 0)) * TICK_MS };
    }),
  );
  return found.filter((one) => Number.isFinite(one.cpuMs));
}

/** The sum of some processes' times, milliseconds. */
export function total(list: readonly Used[]): number {
  return list.reduce((sum, one) => sum + one.cpuMs, 0);
}
