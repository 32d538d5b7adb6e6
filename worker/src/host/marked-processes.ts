import { readFile } from "node:fs/promises";
import { listProcesses, type ProcessIdentity, type ProcessRow, readProcess } from "@towpath/contract/process";
import { sleep as realSleep, type Sleep } from "./clock.ts";

/** Rounds of looking and killing: whoever forks faster than that is not caught, and is reported. */
const ROUNDS_MAX = 20;
const BETWEEN_ROUNDS_MS = 10;

/** A running process and the value of the variable that it was started with. */
export interface MarkedProcess extends ProcessIdentity {
  readonly mark: string;
}

/**
 * The running processes whose environment, as they were started, holds an entry that begins with a text such as
 * `NAME=value`. A process keeps its mark in whatever group or session it goes to, and loses it only by throwing
 * away its environment. Linux only; elsewhere nothing is found.
 */
export async function findMarked(prefix: string): Promise<MarkedProcess[]> {
  if (process.platform !== "linux") return [];
  const found: MarkedProcess[] = [];
  for (const row of await listProcesses()) {
    if (row.zombie) continue;
    const mark = await readMark(row.pid, prefix);
    if (mark !== undefined) found.push({ pid: row.pid, start: row.start, mark });
  }
  return found;
}

/**
 * Kills the processes found under a prefix, and those that they start meanwhile, until none is left.
 * @param args.except Marks that are to live.
 * @param args.onKill Told of each process that is killed.
 * @returns Those that still lived at the end: none, unless the system refused or they fork without rest.
 */
export async function killMarked(
  prefix: string,
  args: { except?: ReadonlySet<string>; sleep?: Sleep; onKill?: (row: ProcessRow) => void } = {},
): Promise<MarkedProcess[]> {
  const { except, sleep = realSleep, onKill } = args;
  let left: MarkedProcess[] = [];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    left = (await findMarked(prefix)).filter(({ mark }) => !except?.has(mark));
    if (left.length === 0) return [];
    for (const one of left) await kill(one, onKill);
    await sleep(BETWEEN_ROUNDS_MS);
  }
  return left;
}

async function kill(one: ProcessIdentity, onKill?: (row: ProcessRow) => void): Promise<void> {
  const row = await readProcess(one.pid);
  if (row?.start !== one.start) return;
  try {
    process.kill(one.pid, "SIGKILL");
    onKill?.(row);
  } catch {
    // It ended just now, or belongs to somebody else: the next round tells.
  }
}

async function readMark(pid: number, prefix: string): Promise<string | undefined> {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, "utf8");
    return environment.split("\0").find((entry) => entry.startsWith(prefix));
  } catch {
    return undefined;
  }
}
