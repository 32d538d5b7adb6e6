import { sleep as realSleep, type Sleep } from "./clock.ts";
import { listProcesses, type ProcessRow, readProcess } from "./process-table.ts";

/**
 * Names one process for good: a pid alone is reused, a pid with its kernel start time is not.
 * Plain data, so it can be written to disk and compared after a restart.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Kernel start time, opaque: on Linux boot id and start ticks, elsewhere what `ps -o lstart=` prints (to the second). */
  readonly start: string;
}

const WAIT_INTERVAL_MS = 100;

/** The identity of the process that has this pid now, or undefined when there is none (a zombie still counts). */
export async function processIdentity(pid: number): Promise<ProcessIdentity | undefined> {
  const row = await readProcess(pid);
  return row && toIdentity(row);
}

/** Whether this very process still runs; false for a zombie, and for another process that was given its pid. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const row = await readProcess(identity.pid);
  return row !== undefined && !row.zombie && row.start === identity.start;
}

/** The processes of a group that still run, in no order; zombies are left out. */
export async function groupMembers(groupId: number): Promise<ProcessIdentity[]> {
  const rows = await listProcesses();
  return rows.filter((row) => row.groupId === groupId && !row.zombie).map(toIdentity);
}

/** Options of `waitForExit`. */
export interface WaitForExitOptions {
  /** Gives up waiting; the promise then rejects. */
  signal?: AbortSignal;
  /** Time between two looks, in milliseconds. @default 100 */
  intervalMs?: number;
  /** The timer. @default the real one */
  sleep?: Sleep;
}

/**
 * Resolves once a process that need not be our child has ended.
 * The kernel tells only parents of an exit and Node has no pidfd, so this looks at the process table at an interval.
 * It has no time-out of its own: the caller bounds it with a signal.
 * @throws an `AbortError` when the signal aborts first.
 */
export async function waitForExit(
  identity: ProcessIdentity,
  options: WaitForExitOptions = {},
): Promise<void> {
  const { signal, intervalMs = WAIT_INTERVAL_MS, sleep = realSleep } = options;
  signal?.throwIfAborted();
  while (await isAlive(identity)) await sleep(intervalMs, signal);
}

function toIdentity(row: ProcessRow): ProcessIdentity {
  return { pid: row.pid, start: row.start };
}
