import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../host/clock.ts";
import { isMissing } from "./journal-error.ts";

/** How long journals of ended attempts are kept for reading. */
export interface RetainPolicy {
  /** Removed when nothing was written to them for this long, milliseconds. @default 7 days */
  readonly maxAgeMs?: number;
  /** The oldest are removed first until the rest fits, bytes in whole blocks of the disk. @default 1 GiB */
  readonly maxBytes?: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const DEFAULT_MAX_AGE_MS = 7 * DAY_MS;
const DEFAULT_MAX_BYTES = 1024 ** 3;
/** What the smallest file or folder takes on the disk: many small journals take more than their sizes. */
const BLOCK_BYTES = 4_096;

/**
 * Removes journal directories beyond the policy and returns their names. `keep` names those of attempts that are
 * active or have records to send: they stay, and do not count against the size. Everything else under `root`
 * counts as the journal of an ended attempt.
 */
export async function retainJournals(
  deps: { clock: Clock },
  args: { root: string; keep: ReadonlySet<string>; policy?: RetainPolicy },
): Promise<string[]> {
  const { maxAgeMs = DEFAULT_MAX_AGE_MS, maxBytes = DEFAULT_MAX_BYTES } = args.policy ?? {};
  const journals = await measureJournals(args.root, args.keep);
  journals.sort((left, right) => right.writtenAtMs - left.writtenAtMs);
  const oldestMs = deps.clock.nowMs() - maxAgeMs;
  const removed: string[] = [];
  let keptBytes = 0;
  for (const journal of journals) {
    keptBytes += journal.sizeBytes;
    if (journal.writtenAtMs >= oldestMs && keptBytes <= maxBytes) continue;
    keptBytes -= journal.sizeBytes;
    await rm(join(args.root, journal.name), { recursive: true, force: true });
    removed.push(journal.name);
  }
  return removed;
}

interface MeasuredJournal {
  readonly name: string;
  readonly sizeBytes: number;
  readonly writtenAtMs: number;
}

async function measureJournals(root: string, keep: ReadonlySet<string>): Promise<MeasuredJournal[]> {
  const measured: MeasuredJournal[] = [];
  for (const entry of await listOrNothing(root)) {
    if (entry.isDirectory() && !keep.has(entry.name)) measured.push(await measure(root, entry.name));
  }
  return measured;
}

async function measure(root: string, name: string): Promise<MeasuredJournal> {
  let [sizeBytes, writtenAtMs] = [BLOCK_BYTES, 0];
  for (const file of await listOrNothing(join(root, name))) {
    const { size, mtimeMs } = await stat(join(root, name, file.name));
    sizeBytes += Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    writtenAtMs = Math.max(writtenAtMs, mtimeMs);
  }
  return { name, sizeBytes, writtenAtMs };
}

async function listOrNothing(dir: string) {
  try {
    return await readdir(dir, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
