import { chmod, mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type CodeCache, type Fetching, holdTree, makeWorkspace, touchTree, treePath } from "./code-cache.ts";
import { CodeError, systemCode } from "./code-error.ts";
import { type CodeRequest, cacheKey, parseDigest } from "./code-request.ts";
import { fetchFromGit } from "./git-fetch.ts";
import { type FetchPlace, fetchFromLayout } from "./oci-layout.ts";
import { removeTree, sealTree } from "./seal-tree.ts";
import { treeState, writeSeal } from "./tree-seal.ts";

const OPEN_DIRECTORY_MODE = 0o755;
const READ_ONLY_DIRECTORY = 0o555;

/** Code in the cache, in use until it is released. */
export interface FetchedCode {
  /** The read-only tree. */
  readonly dir: string;
  /** Whether it was there already, so that nothing remote was touched. */
  readonly cached: boolean;
  /** Whether a tree was there that somebody had changed after it was fetched: it was set aside, and fetched anew. */
  readonly wasChanged: boolean;
  /** Lets the cache remove the tree when it needs room. Calling it again does nothing. */
  release(): Promise<void>;
}

/**
 * Brings code into the cache, or finds it there. Requests for one digest at the same time share one fetch; it goes on while anyone waits.
 * Between processes that share the cache two may fetch at once, and the first to finish wins.
 * @throws CodeError; the signal's reason when the caller gave up.
 */
export async function fetchCode(
  cache: CodeCache,
  request: CodeRequest,
  signal: AbortSignal,
): Promise<FetchedCode> {
  signal.throwIfAborted();
  const key = cacheKey(request);
  const dir = treePath(cache, key);
  const release = await holdTree(cache, key);
  try {
    const [state] = await Promise.all([
      treeState({ cacheDir: cache.dir, key, treeDir: dir }),
      touchTree(cache, key),
    ]);
    const cached = state === "intact";
    // One that was not there when it was looked for is nobody's to move, even if it has come meanwhile: others may run from it.
    const wasChanged = state === "changed" && (await setAside(cache, key));
    if (!cached) {
      await joinFetch(cache, { key, request, signal });
      await touchTree(cache, key);
    }
    return { dir, cached, wasChanged, release };
  } catch (error) {
    await release();
    throw error;
  }
}

interface KeyedRequest {
  readonly key: string;
  readonly request: CodeRequest;
}

async function joinFetch(cache: CodeCache, args: KeyedRequest & { signal: AbortSignal }): Promise<void> {
  const fetching = cache.fetching.get(args.key) ?? startFetch(cache, args);
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
    if (fetching.waiting === 0) endFetch(cache, { key: args.key, fetching });
  }
}

function startFetch(cache: CodeCache, args: KeyedRequest): Fetching {
  const abort = new AbortController();
  const done = fetchTree(cache, { ...args, signal: abort.signal });
  // Everyone may have given up by the time it fails.
  done.catch(() => {});
  const fetching = { done, abort, waiting: 0 };
  cache.fetching.set(args.key, fetching);
  return fetching;
}

function endFetch(cache: CodeCache, args: { key: string; fetching: Fetching }): void {
  if (cache.fetching.get(args.key) === args.fetching) cache.fetching.delete(args.key);
  args.fetching.abort.abort();
}

async function fetchTree(cache: CodeCache, args: KeyedRequest & { signal: AbortSignal }): Promise<void> {
  const timeout = AbortSignal.timeout(cache.limits.timeMs);
  const signal = AbortSignal.any([args.signal, timeout]);
  let workspace: string | undefined;
  try {
    workspace = await makeWorkspace(cache);
    const place = { treeDir: join(workspace, "tree"), scratchDir: join(workspace, "scratch"), signal };
    await mkdir(place.treeDir, { mode: OPEN_DIRECTORY_MODE });
    await mkdir(place.scratchDir, { mode: 0o700 });
    await fetchFrom(cache, { ...args, place: { ...place, limits: cache.limits } });
    signal.throwIfAborted();
    await sealTree(place.treeDir);
    await publishTree(cache, { from: place.treeDir, key: args.key });
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

async function fetchFrom(cache: CodeCache, args: { request: CodeRequest; place: FetchPlace }): Promise<void> {
  const { source } = args.request;
  const hex = parseDigest(args.request);
  if (source.kind === "git") return await fetchFromGit(args.place, { source, commit: hex, git: cache.git });
  return await fetchFromLayout(args.place, { layoutDir: source.path, hex });
}

/** Puts a sealed tree under its final name. If another process was first, its tree, made from the same digest, stays. */
async function publishTree(cache: CodeCache, { from, key }: { from: string; key: string }): Promise<void> {
  const to = treePath(cache, key);
  const seal = await writeSeal({ cacheDir: cache.dir, key, treeDir: from });
  try {
    // Moving a directory under another parent needs the right to write to it.
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
 * Takes a tree that is not as it was sealed out of the way. It is not removed, since a flow may be running from it; that is done
 * when the cache is opened the next time.
 * @returns Whether there was one.
 */
async function setAside(cache: CodeCache, key: string): Promise<boolean> {
  const dir = treePath(cache, key);
  // Another request may be making it anew just now.
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
