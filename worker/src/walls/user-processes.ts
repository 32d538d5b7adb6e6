import { readdir } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { PROCESSES_PER_TURN, type ProcessRow, readProcess, readProcFile } from "@towpath/contract/process";
import { sleep } from "../host/index.ts";

/** Rounds of searching and killing. */
const ROUNDS_MAX = 50;
const BETWEEN_ROUNDS_MS = 10;

/**
 * The running processes of a user: its real, effective, saved or file system id. The owner of `/proc/PID` would not do, because
 * a process can make that root.
 */
export async function processesOf(isOf: (uid: number) => boolean): Promise<number[]> {
  const found: number[] = [];
  for (const [index, name] of (await readdir("/proc")).entries()) {
    if (index % PROCESSES_PER_TURN === PROCESSES_PER_TURN - 1) await nextTurn();
    if (!/^\d+$/.test(name)) continue;
    const status = readProcFile(`/proc/${name}/status`) ?? "";
    if (/^State:\s+[ZX]/m.test(status)) continue;
    const [, ids = ""] = /^Uid:\s+(.+)$/m.exec(status) ?? [];
    if (ids !== "" && ids.split(/\s+/).some((id) => isOf(Number(id)))) found.push(Number(name));
  }
  return found;
}

/** The program that watches the time limits of a Python flow. It ends by itself, a moment after the flow's process. */
const WATCHDOG = "towpath._internal.watchdog.guard";

/**
 * Whether a process is a watchdog, which no author has started, or is ending, and so has no command line any more. A process may
 * call itself a watchdog: only its name in the log depends on it.
 */
export function isWatchdog(pid: number): boolean {
  const words = readProcFile(`/proc/${pid}/cmdline`) ?? "";
  return words === "" || words.includes(WATCHDOG);
}

/**
 * Kills all processes of a user, whatever groups, sessions and environments they have, until none is left.
 * @param onKill Called with each killed process but watchdogs.
 * @returns Whether none is left.
 */
export async function killUser(uid: number, onKill?: (row: ProcessRow) => void): Promise<boolean> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const left = await processesOf((one) => one === uid);
    if (left.length === 0) return true;
    for (const pid of left) {
      const row = await readProcess(pid);
      const isNamed = row !== undefined && onKill !== undefined && !isWatchdog(pid);
      try {
        process.kill(pid, "SIGKILL");
        if (isNamed) onKill(row);
      } catch {
        // It has just ended.
      }
    }
    await sleep(BETWEEN_ROUNDS_MS);
  }
  return false;
}
