import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../host/clock.ts";
import { isMissing } from "../state/atomic-file.ts";

/** The most files of one run that are looked at before it counts as one that is still written to. */
const FILES_MAX = 100_000;

async function listOrNothing(dir: string) {
  try {
    return await readdir(dir, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Whether something in a folder was written after an instant. It stops at the first: most runs are new. */
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
 * Removes from a store in a folder what runs have kept of which nothing was written for a time. A run goes as a whole; one that
 * is resumed later runs its tasks again.
 * @param args.root The store's folder.
 * @returns The runs whose values are gone.
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
