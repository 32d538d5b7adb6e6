import { chmod, mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type CodeCache, type Fetching, holdTree, makeWorkspace, touchTree, treePath } from "./code-cache.ts";
import { CodeError, systemCode } from "./code-error.ts";
import type { FetchTarget } from "./fetch-target.ts";
import { removeTree, sealTree } from "./seal-tree.ts";
import { treeState, writeSeal } from "./tree-seal.ts";

const OPEN_DIRECTORY_MODE = 0o755;
const READ_ONLY_DIRECTORY = 0o555;

/** Code in the cache, in use until it is released. */
export interface FetchedCode {
  /** The read-only tree. */
  readonly dir: string;
  /** Whether it was there already, so that nothing was fetched. */
  readonly cached: boolean;
  /** Ends the use, so that the cache may remove the tree. Repeated calls do nothing. */
  release(): Promise<void>;
}

/** A tree, by its name in the cache, and how it is made if it is not there. */
export interface TreeRequest {
  readonly key: string;
  /** Fills the target's empty tree. */
  make(target: FetchTarget): Promise<void>;
}

/**
 * Brings a tree into the cache, or finds it there. Requests for one key at the same time share the work, which
 * goes on while any caller waits. Two processes that share the cache may both make it: the first to finish wins.
 * @throws CodeError; what making it throws; the signal's reason when the caller gave up.
 */
export async function bringTree(
  cache: CodeCache,
  request: TreeRequest,
  signal: AbortSignal,
): Promise<FetchedCode> {
  signal.throwIfAborted();
  const { key } = request;
  const dir = treePath(cache, key);
  const release = await holdTree(cache, key);
  try {
    const [state] = await Promise.all([
      treeState({ cacheDir: cache.dir, key, treeDir: dir }),
      touchTree(cache, key),
    ]);
    const cached = state === "intact";
    // A tree that came only now must stay: other attempts may run from it.
    if (state === "changed" && (await setAside(cache, key))) cache.onChanged(dir);
    if (!cached) {
      await joinFetch(cache, { request, signal });
      await touchTree(cache, key);
    }
    return { dir, cached, release };
  } catch (error) {
    await release();
    throw error;
  }
}

interface Waiting {
  readonly request: TreeRequest;
  readonly signal: AbortSignal;
}

async function joinFetch(cache: CodeCache, args: Waiting): Promise<void> {
  const { key } = args.request;
  const fetching = cache.fetching.get(key) ?? startFetch(cache, args);
  fetching.waiting += 1;
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(args.signal.reason);
  args.signal.addEventListener("abort", giveUp, { once: true });
  if (args.signal.aborted) giveUp();
  try {
    await Promise.race([fetching.done, givenUp]);
  } finally {
    args.signal.removeEventListener("abort", giveUp);
    fetching.waiting -= 1;
    if (fetching.waiting === 0) endFetch(cache, { key, fetching });
  }
}

function startFetch(cache: CodeCache, args: Waiting): Fetching {
  const abort = new AbortController();
  const done = fetchTree(cache, { ...args, signal: abort.signal });
  // All callers may have given up before it fails.
  done.catch(() => {});
  const fetching = { done, abort, waiting: 0 };
  cache.fetching.set(args.request.key, fetching);
  return fetching;
}

function endFetch(cache: CodeCache, args: { key: string; fetching: Fetching }): void {
  if (cache.fetching.get(args.key) === args.fetching) cache.fetching.delete(args.key);
  args.fetching.abort.abort();
}

async function fetchTree(cache: CodeCache, args: Waiting): Promise<void> {
  const timeout = AbortSignal.timeout(cache.limits.timeMs);
  const signal = AbortSignal.any([args.signal, timeout]);
  let workspace: string | undefined;
  try {
    workspace = await makeWorkspace(cache);
    const target = { treeDir: join(workspace, "tree"), scratchDir: join(workspace, "scratch"), signal };
    await mkdir(target.treeDir, { mode: OPEN_DIRECTORY_MODE });
    await mkdir(target.scratchDir, { mode: 0o700 });
    await args.request.make({ ...target, limits: cache.limits });
    signal.throwIfAborted();
    await sealTree(target.treeDir);
    await publishTree(cache, { from: target.treeDir, key: args.request.key });
  } catch (error) {
    if (timeout.aborted && !args.signal.aborted) {
      throw new CodeError("timeout", `Fetching the code took longer than ${cache.limits.timeMs} ms.`, {
        cause: error,
      });
    }
    throw asCacheError(error, cache.dir);
  } finally {
    if (workspace) await removeTree(workspace).catch(() => {});
  }
}

/** Moves a sealed tree to its final name. If another process was first, its tree of the same digest stays. */
async function publishTree(cache: CodeCache, { from, key }: { from: string; key: string }): Promise<void> {
  const to = treePath(cache, key);
  const seal = await writeSeal({ cacheDir: cache.dir, key, treeDir: from });
  try {
    // A directory can only be moved to another parent with the right to write to it.
    await chmod(from, OPEN_DIRECTORY_MODE);
    await rename(from, to);
  } catch (error) {
    await rm(seal, { force: true });
    const code = systemCode(error);
    if (code === "EEXIST" || code === "ENOTEMPTY") return;
    throw error;
  }
  await chmod(to, READ_ONLY_DIRECTORY);
}

/**
 * Moves a tree that differs from its seal out of the way. It is removed when the cache is opened next, because a
 * flow may be running from it.
 * @returns Whether there was one.
 */
async function setAside(cache: CodeCache, key: string): Promise<boolean> {
  const dir = treePath(cache, key);
  // Another request may be making it anew.
  if (cache.fetching.has(key) || !(await isDirectory(dir))) return false;
  try {
    await chmod(dir, OPEN_DIRECTORY_MODE);
    await rename(dir, join(await makeWorkspace(cache), "changed"));
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw asCacheError(error, cache.dir);
  }
}

function asCacheError(error: unknown, dir: string): unknown {
  if (!systemCode(error)) return error;
  return new CodeError("cache-unwritable", "The code cache cannot be written.", {
    output: dir,
    cause: error,
  });
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
