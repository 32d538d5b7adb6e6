import { chmodSync, renameSync } from "node:fs";
import { chmod, lstat, readdir, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type CodeCache, heldKeys, makeWorkspace, treePath } from "./code-cache.ts";
import { systemCode } from "./code-error.ts";
import { removeTree } from "./seal-tree.ts";
import { removeSeals } from "./tree-seal.ts";

/** How much code is kept. */
export interface PrunePolicy {
  /** The least recently used trees are removed until the rest fits, bytes. @default 5 GiB */
  readonly maxBytes?: number;
  /** Trees not used for this long are removed, milliseconds. @default 30 days */
  readonly maxIdleMs?: number;
}

const WRITABLE_DIRECTORY = 0o755;
const READ_ONLY_DIRECTORY = 0o555;
const DAY_MS = 24 * 60 * 60 * 1000;
const DEFAULT_MAX_BYTES = 5 * 1024 ** 3;
const DEFAULT_MAX_IDLE_MS = 30 * DAY_MS;

/**
 * Removes trees beyond the policy and returns their keys. It keeps the trees that a living process uses, and
 * those in `inUse`: adopted processes run from them, and the worker that noted the use is gone. Kept trees count
 * against the size.
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
 * Removes one tree unless it has come into use. The rename follows the check within one turn of the event loop,
 * so nothing in this process comes between. Another process notes its use before it looks for the tree: then it
 * either misses the tree and fetches, or the second look finds the use and puts the tree back.
 */
async function removeUnused(cache: CodeCache, key: string): Promise<boolean> {
  const workspace = await makeWorkspace(cache);
  const taken = join(workspace, "tree");
  try {
    if (cache.users.has(key)) return false;
    // A directory can only be moved to another parent with the right to write to it.
    chmodSync(treePath(cache, key), WRITABLE_DIRECTORY);
    renameSync(treePath(cache, key), taken);
    if (!(await heldKeys(cache.dir)).has(key)) return true;
    await giveBack(taken, treePath(cache, key));
    return false;
  } catch (error) {
    // Gone already, or another user's. Anything else is a failure of the disk.
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
    // The other process has fetched the tree anew, so this copy is not needed.
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
    // Another process has removed it first.
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
