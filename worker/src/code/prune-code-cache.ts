import { chmodSync, renameSync } from "node:fs";
import { chmod, lstat, readdir, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type CodeCache, heldKeys, makeWorkspace, treePath } from "./code-cache.ts";
import { systemCode } from "./code-error.ts";
import { removeTree } from "./seal-tree.ts";
import { removeSeals } from "./tree-seal.ts";

/** How much code is kept. */
export interface PrunePolicy {
  /** Least recently used trees go until the rest fits, in bytes. @default 5 GiB */
  readonly maxBytes?: number;
  /** Trees not used for this long go, in milliseconds. @default 30 days */
  readonly maxIdleMs?: number;
}

const WRITABLE_DIRECTORY = 0o755;
const READ_ONLY_DIRECTORY = 0o555;
const DAY_MS = 24 * 60 * 60 * 1000;
const DEFAULT_MAX_BYTES = 5 * 1024 ** 3;
const DEFAULT_MAX_IDLE_MS = 30 * DAY_MS;

/**
 * Removes trees that are past the policy and answers their keys.
 * Kept are those that a living process holds, and those in `inUse`: directories that processes adopted after a restart run
 * from, whose holds died with the worker before. Kept trees count against the size.
 */
export async function pruneCodeCache(
  cache: CodeCache,
  args: { inUse?: Iterable<string>; policy?: PrunePolicy } = {},
): Promise<string[]> {
  const { maxBytes = DEFAULT_MAX_BYTES, maxIdleMs = DEFAULT_MAX_IDLE_MS } = args.policy ?? {};
  const kept = new Set([...(args.inUse ?? [])].map((dir) => resolve(dir)));
  const held = await heldKeys(cache.dir);
  const trees = await measureTrees(cache);
  let bytes = trees.reduce((sum, tree) => sum + tree.sizeBytes, 0);
  trees.sort((left, right) => left.usedAtMs - right.usedAtMs);
  const removed: string[] = [];
  for (const { key, sizeBytes, usedAtMs } of trees) {
    const isPast = bytes > maxBytes || cache.clock.nowMs() - usedAtMs > maxIdleMs;
    if (!isPast || held.has(key) || kept.has(resolve(treePath(cache, key)))) continue;
    if (!(await removeUnused(cache, key))) continue;
    bytes -= sizeBytes;
    removed.push(key);
  }
  const gone = new Set(removed);
  if (gone.size > 0) await removeSeals(cache.dir, (key) => gone.has(key));
  return removed;
}

/**
 * Removes one tree unless someone has begun to use it. The rename follows the check within one turn of the event loop, so in this
 * process nothing comes between. Another process notes its hold before it looks for the tree: it then either misses
 * the tree and fetches, or shows up in the second look and gets the tree back.
 */
async function removeUnused(cache: CodeCache, key: string): Promise<boolean> {
  const workspace = await makeWorkspace(cache);
  const taken = join(workspace, "tree");
  try {
    if (cache.users.has(key)) return false;
    // Moving a directory under another parent needs the right to write to it.
    chmodSync(treePath(cache, key), WRITABLE_DIRECTORY);
    renameSync(treePath(cache, key), taken);
    if (!(await heldKeys(cache.dir)).has(key)) return true;
    await giveBack(taken, treePath(cache, key));
    return false;
  } catch (error) {
    // Gone already, or another user's: not ours to remove. Anything else is a fault of the disk, and ours to tell.
    const code = systemCode(error);
    if (code === "ENOENT" || code === "EPERM" || code === "EACCES") return false;
    throw error;
  } finally {
    await removeTree(workspace);
  }
}

async function giveBack(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
    await chmod(to, READ_ONLY_DIRECTORY);
  } catch {
    // The other process has fetched the tree anew meanwhile, so this copy is not needed.
  }
}

interface MeasuredTree {
  readonly key: string;
  readonly sizeBytes: number;
  readonly usedAtMs: number;
}

async function measureTrees(cache: CodeCache): Promise<MeasuredTree[]> {
  const trees: MeasuredTree[] = [];
  for (const key of await readdir(cache.dir)) {
    if (key.startsWith(".")) continue;
    const tree = await measureTree(cache, key);
    if (tree) trees.push(tree);
  }
  return trees;
}

async function measureTree(cache: CodeCache, key: string): Promise<MeasuredTree | undefined> {
  const dir = treePath(cache, key);
  try {
    return { key, sizeBytes: await measure(dir), usedAtMs: (await lstat(dir)).mtimeMs };
  } catch (error) {
    // Another process was faster in removing it.
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function measure(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    bytes += entry.isDirectory() ? await measure(path) : (await lstat(path)).size;
  }
  return bytes;
}
