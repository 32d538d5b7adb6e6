import { readdir } from "node:fs/promises";
import {
  listProcesses,
  type ProcessIdentity,
  type ProcessRow,
  readProcess,
  startedBefore,
} from "@towpath/contract/process";
import { sleep as realSleep, type Sleep } from "./clock.ts";
import { firstEnvironment } from "./first-environment.ts";

/** Rounds of searching and killing. A process that forks faster is reported. */
const ROUNDS_MAX = 20;
const BETWEEN_ROUNDS_MS = 10;

/** A running process, and the value of the variable in its environment. */
export interface MarkedProcess extends ProcessIdentity {
  readonly mark: string;
  /** Its program's name, without arguments. */
  readonly name: string;
}

/**
 * The running processes whose first environment has an entry that begins with a text such as `NAME=value`. A
 * process keeps its mark in every group and session, and loses it only with its environment. Linux only:
 * elsewhere the list is empty.
 * @param root the first process with the mark, from which all others descend: older processes are not looked at
 */
export async function findMarked(prefix: string, root?: ProcessIdentity): Promise<MarkedProcess[]> {
  if (process.platform !== "linux") return [];
  const found: MarkedProcess[] = [];
  for (const row of await listProcesses()) {
    if (row.zombie || (root !== undefined && startedBefore(row, root))) continue;
    const mark = (await firstEnvironment(row.pid)).find((entry) => entry.startsWith(prefix));
    if (mark !== undefined) found.push({ pid: row.pid, start: row.start, mark, name: row.name });
  }
  return found;
}

/** Processes in words, each with its threads: `4711 (python3, 3 threads)`. */
export async function describeProcesses(found: readonly MarkedProcess[]): Promise<string> {
  const texts = found.map(async ({ pid, name }) => {
    const threads = (await readdir(`/proc/${pid}/task`).catch(() => [])).length;
    return `${pid} (${threads > 1 ? `${name}, ${threads} threads` : name})`;
  });
  return (await Promise.all(texts)).join(", ");
}

/**
 * Kills the processes under a prefix, and those that they start meanwhile, until none is left.
 * @param args.except Marks to keep.
 * @param args.root The first process with the mark, if it is known: then the search is faster.
 * @param args.onKill Called with each killed process.
 * @returns Those still running at the end: none, unless the system refused or they fork without end.
 */
export async function killMarked(
  prefix: string,
  args: {
    except?: ReadonlySet<string>;
    root?: ProcessIdentity;
    sleep?: Sleep;
    onKill?: (row: ProcessRow) => void;
  } = {},
): Promise<MarkedProcess[]> {
  const { except, root, sleep = realSleep, onKill } = args;
  let left: MarkedProcess[] = [];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    left = (await findMarked(prefix, root)).filter(({ mark }) => !except?.has(mark));
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
    // It has just ended, or belongs to another user. The next round tells.
  }
}
