/**
 * Processes of this machine, each named so that a pid that is used again is never mistaken for it. Needs Node's own
 * modules, so that this is a door of its own (`@towpath/contract/process`): everything else here runs in a browser as well.
 */
import { execFile } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";
import { z } from "zod";

/**
 * Names one process for good: a pid alone is used again, a pid with its kernel start time is not. Plain data, so it can be
 * written to disk and compared after a restart. `start` is opaque: on Linux boot id and start ticks, elsewhere what
 * `ps -o lstart=` prints (to the second).
 */
export const ProcessIdentity = z.object({ pid: z.int().positive(), start: z.string() }).readonly();
export type ProcessIdentity = z.output<typeof ProcessIdentity>;

/** One process as the kernel lists it. */
export interface ProcessRow extends ProcessIdentity {
  readonly groupId: number;
  /** Its program's name as the kernel has it, without arguments: at most 15 characters. Empty where `ps` is asked. */
  readonly name: string;
  /** An exited process whose parent has not collected it yet: it holds its pid but can do nothing. */
  readonly zombie: boolean;
}

const runFile = promisify(execFile);
const PS_TIMEOUT_MS = 10_000;
const PS_MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
const PS_COLUMNS = "pid=,pgid=,stat=,lstart=";

/** Whether standard output and standard error of this process go to the same file, pipe or terminal. */
export function hasOneOutput(): boolean {
  try {
    const [stdout, stderr] = [fstatSync(1), fstatSync(2)];
    return stdout.dev === stderr.dev && stdout.ino === stderr.ino;
  } catch {
    return false;
  }
}

/** What `readBootId` says where the kernel has no name for its boot. */
export const UNKNOWN_BOOT = "unknown";

/** The kernel's name for this boot, or `UNKNOWN_BOOT` where there is none (anything but Linux). */
export function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return UNKNOWN_BOOT;
  }
}

/** The identity of the process that has this pid now, or undefined when there is none (a zombie still counts). */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const row = await readProcess(pid);
  return row && { pid: row.pid, start: row.start };
}

/** Whether this very process still runs; false for a zombie, and for another process that was given its pid. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const row = await readProcess(identity.pid);
  return row !== undefined && !row.zombie && row.start === identity.start;
}

/**
 * Whether a process started before another one of the same boot, so that it cannot descend from that one. False where the start
 * times cannot be compared, as outside of Linux.
 */
export function startedBefore(one: ProcessIdentity, other: ProcessIdentity): boolean {
  const [first, second] = [STARTED.exec(one.start), STARTED.exec(other.start)];
  return first !== null && first[1] === second?.[1] && Number(first[2]) < Number(second?.[2]);
}

/** A boot and a number of clock ticks. */
const STARTED = /^([^:\s]+):(\d+)$/;

/**
 * Parses the text of `/proc/PID/stat` (proc_pid_stat(5)), or returns undefined if it is not one.
 * The second field is the command's name in parentheses and may itself hold spaces, parentheses and
 * newlines, so fields are counted from the *last* closing parenthesis.
 */
export function parseProcStat(text: string, bootId: string): ProcessRow | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 1 || close < open) return undefined;
  const pid = Number(text.slice(0, open));
  const name = text.slice(open + 1, close);
  const fields = text
    .slice(close + 1)
    .trim()
    .split(/\s+/);
  // After the name come field 3 (state), 5 (process group) and 22 (start time in clock ticks).
  const [state, groupText, startTicks] = [fields[0], fields[2], fields[19]];
  const groupId = Number(groupText);
  if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(groupId)) return undefined;
  if (state === undefined || startTicks === undefined || !/^\d+$/.test(startTicks)) return undefined;
  return { pid, groupId, name, zombie: isDeadState(state), start: `${bootId}:${startTicks}` };
}

/** Parses one line of `ps -o pid=,pgid=,stat=,lstart=`, or returns undefined if it is not one. */
export function parsePsLine(line: string): ProcessRow | undefined {
  const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line);
  if (!match) return undefined;
  const [, pid, groupId, state = "", started = ""] = match;
  return {
    pid: Number(pid),
    groupId: Number(groupId),
    name: "",
    zombie: isDeadState(state),
    start: started.replace(/\s+/g, " "),
  };
}

// Z is a zombie, X and x a process on its way out.
function isDeadState(state: string): boolean {
  return /^[ZXx]/.test(state);
}

/** Looks one process up; undefined when no process has that pid. */
export async function readProcess(pid: number): Promise<ProcessRow | undefined> {
  if (!Number.isSafeInteger(pid) || pid < 1) return undefined;
  if (process.platform !== "linux") return (await runPs(["-p", String(pid)]))[0];
  return readProcStat(pid, readBootId());
}

const procBytes = Buffer.alloc(4096);

/**
 * The first 4 KiB of a file that the kernel makes from its own memory, such as `/proc/PID/stat` or `status`. Synchronous, because
 * that takes microseconds: `readFile` takes five turns of the thread pool and 64 KiB of garbage for each process of the machine.
 * Files that the kernel reads from the process's memory (`environ`, `cmdline`) may block: read them asynchronously.
 * @returns undefined if it cannot be read: the process is gone
 */
export function readProcFile(path: string): string | undefined {
  try {
    const file = openSync(path, "r");
    try {
      return procBytes.toString("latin1", 0, readSync(file, procBytes, 0, procBytes.length, 0));
    } finally {
      closeSync(file);
    }
  } catch {
    // ENOENT before the open, ESRCH between open and read.
    return undefined;
  }
}

/** The processes that are read before other work of this process gets a turn. */
export const PROCESSES_PER_TURN = 200;

/** Lists every process visible from here; those that end meanwhile may be missing. */
export async function listProcesses(): Promise<ProcessRow[]> {
  if (process.platform !== "linux") return await runPs(["-A"]);
  const bootId = readBootId();
  const rows: ProcessRow[] = [];
  for (const [index, name] of (await readdir("/proc")).entries()) {
    if (index % PROCESSES_PER_TURN === PROCESSES_PER_TURN - 1) await nextTurn();
    if (!/^\d+$/.test(name)) continue;
    const row = readProcStat(Number(name), bootId);
    if (row) rows.push(row);
  }
  return rows;
}

function readProcStat(pid: number, bootId: string): ProcessRow | undefined {
  const text = readProcFile(`/proc/${pid}/stat`);
  return text === undefined ? undefined : parseProcStat(text, bootId);
}

async function runPs(selection: readonly string[]): Promise<ProcessRow[]> {
  try {
    const { stdout } = await runFile("ps", [...selection, "-o", PS_COLUMNS], {
      env: { PATH: "/bin:/usr/bin", LC_ALL: "C", TZ: "UTC" },
      timeout: PS_TIMEOUT_MS,
      maxBuffer: PS_MAX_OUTPUT_BYTES,
    });
    return stdout.split("\n").flatMap((line) => parsePsLine(line) ?? []);
  } catch (error) {
    // ps exits 1 when nothing matches the selection, which is an answer and not a fault.
    if (error instanceof Error && "code" in error && error.code === 1) return [];
    throw error;
  }
}

/**
 * Calls back once when the process that started this one is gone, however it ended. Only a parent that opened an IPC channel
 * is watched (`stdio: [..., "ipc"]`); the operating system closes the channel with the parent. The channel does not keep this
 * process alive.
 */
export function onParentGone(act: () => void): void {
  // Undefined: there never was a channel. False: the parent was gone before this call.
  if (process.connected === undefined) return;
  if (process.connected) process.once("disconnect", act);
  else act();
  process.channel?.unref();
}

/** The signals by which people and supervisors stop a program. */
const STOP_SIGNALS: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT"];

/**
 * One request to stop can arrive several times: from a terminal or a supervisor that signals the whole process group, and from
 * the command that started this process. Milliseconds.
 */
const ONE_REQUEST_MS = 1_000;

/**
 * Calls `first` at the first signal to stop, and `again` at each signal that is a request of its own. The answer stops
 * listening.
 */
export function onStopRequests(
  first: (signal: NodeJS.Signals) => void,
  again: (signal: NodeJS.Signals) => void,
  signals = STOP_SIGNALS,
): () => void {
  let requests = 0;
  let isSame = false;
  const take = (signal: NodeJS.Signals) => {
    if (isSame) return;
    isSame = true;
    setTimeout(() => {
      isSame = false;
    }, ONE_REQUEST_MS).unref();
    requests += 1;
    (requests === 1 ? first : again)(signal);
  };
  for (const signal of signals) process.on(signal, take);
  return () => {
    for (const signal of signals) process.off(signal, take);
  };
}
