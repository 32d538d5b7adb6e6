import { readFile } from "node:fs/promises";
import {
  isAlive,
  listProcesses,
  type ProcessIdentity,
  type ProcessRow,
  readProcess,
} from "@towpath/contract/process";
import { sleep as realSleep, type Sleep } from "./clock.ts";

/**
 * What became of a signal to a group:
 * `signalled`: at least one process got it; `gone`: nothing of the group was left to signal;
 * `reused`: the pid now belongs to a stranger, who was left alone.
 */
export type KillOutcome = "signalled" | "gone" | "reused";

/** Options of `killGroup`. */
export interface KillGroupOptions {
  /**
   * `NAME=value` that the leader was started with. When the leader has ended but members of its group live on, those that
   * inherited this variable are signalled one by one. Without it, and off Linux, such members are left alone: with the leader
   * gone nothing else proves that the group is still the same one.
   */
  orphanMarker?: string;
  /**
   * The caller is the leader's parent and has seen it end just now: then the members that are left are its own, for no pid
   * comes around again in so short a time.
   */
  leaderJustEnded?: boolean;
  /** Told of each process that outlived the leader and is signalled for it. */
  onOrphan?: (row: ProcessRow) => void;
}

/**
 * Sends a signal to the process group led by this process, after checking that the leader is still the one meant.
 * A leader that has exited but was not collected yet still holds its pid, so the group cannot have been reused.
 * Between check and signal the pid could in theory be reused; the kernel never does that while the group has a member.
 * @throws the system's error (EPERM) when the group may not be signalled by us.
 */
export async function killGroup(
  leader: ProcessIdentity,
  signal: NodeJS.Signals,
  options: KillGroupOptions = {},
): Promise<KillOutcome> {
  const row = await readProcess(leader.pid);
  if (row && row.start !== leader.start) return "reused";
  if (row && row.groupId === leader.pid) return send(-leader.pid, signal);
  // It leads no group, so signalling "its" group would hit the group of whoever started it.
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
    if (!leaderJustEnded && !(await hasEnvironmentEntry(member.pid, orphanMarker))) continue;
    const row = await readProcess(member.pid);
    if (row?.start !== member.start || send(member.pid, signal) !== "signalled") continue;
    outcome = "signalled";
    onOrphan?.(row);
  }
  return outcome;
}

/** The processes of a group that still run, in no order; zombies are left out. */
export async function groupMembers(groupId: number): Promise<ProcessIdentity[]> {
  const rows = await listProcesses();
  return rows
    .filter((row) => row.groupId === groupId && !row.zombie)
    .map(({ pid, start }) => ({ pid, start }));
}

async function hasEnvironmentEntry(pid: number, entry: string | undefined): Promise<boolean> {
  if (entry === undefined) return false;
  try {
    const environment = await readFile(`/proc/${pid}/environ`, "utf8");
    return environment.split("\0").includes(entry);
  } catch {
    return false;
  }
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
