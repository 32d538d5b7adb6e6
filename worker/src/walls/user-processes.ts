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

/**
 * Kills all processes of a user, whatever groups, sessions and environments they have, until none is left.
 * @returns Whether none is left.
 */
export async function killUser(uid: number, onKill?: (row: ProcessRow) => void): Promise<boolean> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const left = await processesOf((one) => one === uid);
    if (left.length === 0) return true;
    for (const pid of left) {
      const row = await readProcess(pid);
      try {
        process.kill(pid, "SIGKILL");
        if (row !== undefined) onKill?.(row);
      } catch {
        // It has just ended.
      }
    }
    await sleep(BETWEEN_ROUNDS_MS);
  }
  return false;
}
