import type { Objects } from "./objects.ts";
import { RUNS_FOLDER, safePart } from "./store.ts";

/** What runs share, by the age of each object alone. */
const CACHE_FOLDER = "cache";
const REMOVED_AT_ONCE = 500;

/** What is removed from a store. */
export interface PruneRequest {
  /** Runs of which nothing has been written since; Unix time in milliseconds. */
  readonly beforeMs: number;
  /** Only this run's. @default all, and what runs share */
  readonly runId?: string | undefined;
  /** Only counts. */
  readonly dryRun: boolean;
  /**
   * Asked before anything of these runs is removed, given their ids.
   * @returns Those that may go.
   * @default all
   */
  readonly release?: ((runIds: readonly string[]) => Promise<ReadonlySet<string>>) | undefined;
}

/** What was removed, or would be. */
export interface Pruned {
  readonly runs: number;
  readonly objects: number;
  readonly sizeBytes: number;
}

interface RunFolder {
  newestMs: number;
  objects: number;
  sizeBytes: number;
}

async function runFolders(objects: Objects, folder: string): Promise<Map<string, RunFolder>> {
  const found = new Map<string, RunFolder>();
  for await (const { path, sizeBytes, modifiedAtMs } of objects.list(folder)) {
    const run = path.split("/").slice(0, 2).join("/");
    const known = found.get(run) ?? { newestMs: 0, objects: 0, sizeBytes: 0 };
    known.newestMs = Math.max(known.newestMs, modifiedAtMs);
    known.objects += 1;
    known.sizeBytes += sizeBytes;
    found.set(run, known);
  }
  return found;
}

/** The run whose folder it is: its id as it is, since it is safe as a file's name. */
function runIdOf(folder: string): string {
  return folder.slice(RUNS_FOLDER.length + 1);
}

/** Removes what lies in a folder and satisfies a condition. */
async function removeIn(
  objects: Objects,
  folder: string,
  isOld: (modifiedAtMs: number) => boolean,
): Promise<void> {
  let paths: string[] = [];
  for await (const { path, modifiedAtMs } of objects.list(folder)) {
    if (isOld(modifiedAtMs)) paths.push(path);
    if (paths.length < REMOVED_AT_ONCE) continue;
    await objects.remove(paths);
    paths = [];
  }
  await objects.remove(paths);
}

/**
 * Removes what old runs have kept in a store: checkpoints, results, saved values; and what runs share, by the age of each. A
 * run counts as old by the newest of what it has kept, and goes as a whole. What is gone is missed by nobody but a resume or
 * rerun, which then runs those tasks again.
 */
export async function pruneStore(objects: Objects, args: PruneRequest): Promise<Pruned> {
  const folder = args.runId === undefined ? RUNS_FOLDER : `${RUNS_FOLDER}/${safePart(args.runId)}`;
  const found = [...(await runFolders(objects, folder))].filter(
    ([, { newestMs }]) => newestMs < args.beforeMs,
  );
  const released = await args.release?.(found.map(([run]) => runIdOf(run)));
  const old = released === undefined ? found : found.filter(([run]) => released.has(runIdOf(run)));
  let [count, bytes] = [0, 0];
  for (const [run, found] of old) {
    count += found.objects;
    bytes += found.sizeBytes;
    // Once more by age: a run may have been resumed meanwhile.
    if (!args.dryRun) await removeIn(objects, run, (modifiedAtMs) => modifiedAtMs < args.beforeMs);
  }
  if (args.runId === undefined) {
    for await (const one of objects.list(CACHE_FOLDER)) {
      if (one.modifiedAtMs >= args.beforeMs) continue;
      count += 1;
      bytes += one.sizeBytes;
    }
    if (!args.dryRun) await removeIn(objects, CACHE_FOLDER, (modifiedAtMs) => modifiedAtMs < args.beforeMs);
  }
  return { runs: old.length, objects: count, sizeBytes: bytes };
}
