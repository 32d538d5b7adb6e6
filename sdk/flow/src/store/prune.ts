import type { Objects } from "./objects.ts";
import { RUNS_FOLDER, safePart } from "./store.ts";

/** The folder of values that runs share. Each is removed by its own age. */
const CACHE_FOLDER = "cache";
const REMOVED_AT_ONCE = 500;

/** Which values to remove from a store. */
export interface PruneRequest {
  /** Runs of which nothing has been written since; Unix time in milliseconds. */
  readonly beforeMs: number;
  /** Only this run's. @default all, and what runs share */
  readonly runId?: string | undefined;
  /** Only counts. */
  readonly dryRun: boolean;
  /**
   * Called before values of these runs are removed.
   * @returns The ids of the runs to remove.
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

/** The run of a folder. A run id is safe as a file name. */
function runIdOf(folder: string): string {
  return folder.slice(RUNS_FOLDER.length + 1);
}

/** Removes the objects of a folder that are old. */
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
 * Removes the values of old runs from a store: checkpoints, results and saved values. Shared values are removed by
 * their own age. The age of a run is that of its newest value, and a run is removed as a whole. A later resume or rerun
 * of it runs those tasks again.
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
    // Checked again, because a run may have been resumed meanwhile.
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
