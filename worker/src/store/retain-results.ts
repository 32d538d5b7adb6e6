import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../host/clock.ts";
import { isMissing } from "../state/atomic-file.ts";

/** How many files of one run are read at most. A run with more counts as active. */
const FILES_MAX = 100_000;

async function listOrNothing(dir: string) {
  try {
    return await readdir(dir, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Whether something in a folder was written after an instant. Stops at the first. */
async function isWrittenSince(dir: string, sinceMs: number, budget: { files: number }): Promise<boolean> {
  for (const entry of await listOrNothing(dir)) {
    budget.files -= 1;
    if (budget.files < 0) return true;
    const path = join(dir, entry.name);
    if (entry.isDirectory()) {
      if (await isWrittenSince(path, sinceMs, budget)) return true;
    } else if ((await stat(path)).mtimeMs >= sinceMs) return true;
  }
  return false;
}

/**
 * Removes the values of runs that were idle for a time from a store in a folder. All values of a run go
 * together. If the run is resumed later, its tasks run again.
 * @param args.root The store's folder.
 * @returns The runs whose values were removed.
 */
export async function retainResults(
  deps: { clock: Clock },
  args: { root: string; maxAgeMs: number },
): Promise<string[]> {
  const sinceMs = deps.clock.nowMs() - args.maxAgeMs;
  const removed: string[] = [];
  for (const entry of await listOrNothing(join(args.root, "runs"))) {
    const dir = join(args.root, "runs", entry.name);
    const isOld = entry.isDirectory() && (await stat(dir)).mtimeMs < sinceMs;
    if (!isOld || (await isWrittenSince(dir, sinceMs, { files: FILES_MAX }))) continue;
    await rm(dir, { recursive: true, force: true });
    removed.push(entry.name);
  }
  return removed;
}
