import {
  isAlive,
  listProcesses,
  type ProcessIdentity,
  type ProcessRow,
  readProcess,
} from "@towpath/contract/process";
import { sleep as realSleep, type Sleep } from "./clock.ts";
import { firstEnvironment } from "./first-environment.ts";

/**
 * The result of a signal to a group: `signalled`: at least one process got it; `gone`: nothing of the group was
 * left; `reused`: the pid belongs to another process now, which was left alone.
 */
export type KillOutcome = "signalled" | "gone" | "reused";

/** Options of `killGroup`. */
export interface KillGroupOptions {
  /**
   * `NAME=value` in the leader's environment. When the leader has ended, the members of its group that have this
   * variable are signalled one by one. Without it, and off Linux, they are left alone: nothing else proves that
   * the group is still the same.
   */
  orphanMarker?: string;
  /**
   * The caller is the leader's parent and has just seen it end. Then the remaining members are its own: no pid
   * is used again so soon.
   */
  leaderJustEnded?: boolean;
  /** Called with each process that outlived the leader and is signalled. */
  onOrphan?: (row: ProcessRow) => void;
}

/**
 * Sends a signal to the process group of this process, after a check that the leader is still the same. A leader
 * that has exited but was not collected still holds its pid. Between check and signal the pid could be used
 * again in theory, but not while the group has a member.
 * @throws the system's error (EPERM) when the worker may not signal the group.
 */
export async function killGroup(
  leader: ProcessIdentity,
  signal: NodeJS.Signals,
  options: KillGroupOptions = {},
): Promise<KillOutcome> {
  const row = await readProcess(leader.pid);
  if (row && row.start !== leader.start) return "reused";
  if (row && row.groupId === leader.pid) return send(-leader.pid, signal);
  // It leads no group, so a signal to "its" group would hit the group of its parent.
  if (row) return send(leader.pid, signal);
  return await killOrphans(leader, signal, options);
}

async function killOrphans(
  leader: ProcessIdentity,
  signal: NodeJS.Signals,
  { orphanMarker, leaderJustEnded = false, onOrphan }: KillGroupOptions,
): Promise<KillOutcome> {
  if (orphanMarker === undefined && !leaderJustEnded) return "gone";
  let outcome: KillOutcome = "gone";
  for (const member of await groupMembers(leader.pid)) {
    if (!leaderJustEnded && !(await hasEntry(member.pid, orphanMarker))) continue;
    const row = await readProcess(member.pid);
    if (row?.start !== member.start || send(member.pid, signal) !== "signalled") continue;
    outcome = "signalled";
    onOrphan?.(row);
  }
  return outcome;
}

/** The running processes of a group, in no order, without zombies. */
export async function groupMembers(groupId: number): Promise<ProcessIdentity[]> {
  const rows = await listProcesses();
  return rows
    .filter((row) => row.groupId === groupId && !row.zombie)
    .map(({ pid, start }) => ({ pid, start }));
}

async function hasEntry(pid: number, entry: string | undefined): Promise<boolean> {
  return entry !== undefined && (await firstEnvironment(pid)).includes(entry);
}

function send(target: number, signal: NodeJS.Signals): KillOutcome {
  try {
    process.kill(target, signal);
    return "signalled";
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return "gone";
    throw error;
  }
}

const WAIT_INTERVAL_MS = 100;

/** Options of `waitForExit`. */
export interface WaitForExitOptions {
  /** Ends the wait; the promise then rejects. */
  signal?: AbortSignal;
  /** Time between two looks, in milliseconds. @default 100 */
  intervalMs?: number;
  /** The timer. @default the real one */
  sleep?: Sleep;
}

/**
 * Resolves once a process has ended that need not be a child. The kernel reports an exit only to parents and
 * Node has no pidfd, so this reads the process table at an interval. The caller limits it with a signal.
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
