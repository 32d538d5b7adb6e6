import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { identifyProcess, isAlive, type ProcessIdentity } from "@towpath/contract/process";
import { type Clock, wallClock } from "../host/clock.ts";
import { CodeError } from "./code-error.ts";
import type { GitOptions } from "./git-process.ts";
import { type CodeLimits, DEFAULT_CODE_LIMITS } from "./limits.ts";
import { removeTree } from "./seal-tree.ts";
import { sealsDir } from "./tree-seal.ts";

/*
 * cache/KEY/            a tree, complete and read-only; its modification time is its last use
 * cache/.making/NAME~OWNER/   a tree under way
 * cache/.holds/KEY~NAME~OWNER an empty file: OWNER uses the tree
 * cache/.seals/KEY~INODE      how the tree was when it was complete
 *
 * OWNER is the identity of a process, so that what a killed process left behind is known for what it is.
 */

// Other users may open a tree whose digest they know, as a flow under another user must, but not list the folder.
const CACHE_DIR_MODE = 0o711;
const OWNER_ONLY_DIR = 0o700;

/** A tree that is being fetched, and how many callers wait for it. */
export interface Fetching {
  readonly done: Promise<void>;
  readonly abort: AbortController;
  waiting: number;
}

/** An open cache of code. Only the functions of this folder use its maps. */
export interface CodeCache {
  readonly dir: string;
  readonly limits: CodeLimits;
  readonly git: GitOptions;
  /** Names the proxies for registries over HTTP. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly self: ProcessIdentity;
  /** A tree differed from its seal. It was set aside, and is made anew. */
  readonly onChanged: (dir: string) => void;
  /** By key: the trees that this process is fetching. */
  readonly fetching: Map<string, Fetching>;
  /** By key: how many users a tree has in this process. */
  readonly users: Map<string, number>;
}

/** Options of `openCodeCache`. */
export interface CodeCacheOptions {
  /** Directory of the cache. It is made if missing. Several processes may share it. */
  readonly dir: string;
  readonly limits?: Partial<CodeLimits>;
  readonly git?: GitOptions;
  /** Holds `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. @default no proxy */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** For last uses and ages. @default the wall clock */
  readonly clock?: Clock;
  /** Hears of each tree that was changed after it was made. @default nobody does */
  readonly onChanged?: (dir: string) => void;
}

/**
 * Opens a cache of code and removes what dead processes left unfinished.
 * @throws CodeError `cache-unwritable`.
 */
export async function openCodeCache(options: CodeCacheOptions): Promise<CodeCache> {
  try {
    await mkdir(options.dir, { recursive: true, mode: CACHE_DIR_MODE });
    await mkdir(makingDir(options.dir), { recursive: true, mode: OWNER_ONLY_DIR });
    await mkdir(holdsDir(options.dir), { recursive: true, mode: OWNER_ONLY_DIR });
    await mkdir(sealsDir(options.dir), { recursive: true, mode: OWNER_ONLY_DIR });
    await removeLeftovers(options.dir);
  } catch (cause) {
    throw new CodeError("cache-unwritable", `The code cache in ${options.dir} cannot be opened.`, { cause });
  }
  const self = await identifyProcess(process.pid);
  return {
    dir: options.dir,
    limits: { ...DEFAULT_CODE_LIMITS, ...options.limits },
    git: options.git ?? {},
    environment: options.environment ?? {},
    clock: options.clock ?? wallClock,
    onChanged: options.onChanged ?? (() => {}),
    self: self ?? { pid: process.pid, start: "unknown" },
    fetching: new Map(),
    users: new Map(),
  };
}

/** Where a tree lies once it is complete. */
export function treePath(cache: CodeCache, key: string): string {
  return join(cache.dir, key);
}

/** A text in which paths of files in trees begin at their tree: `flows/load.py` says enough, and no place on this machine. */
export function withoutTrees(cache: CodeCache, text: string): string {
  return text
    .split(`${cache.dir}${sep}`)
    .map((part, index) => (index === 0 ? part : part.slice(part.indexOf(sep) + 1)))
    .join("");
}

/** A new directory in which to make a tree. The caller removes it. */
export async function makeWorkspace(cache: CodeCache): Promise<string> {
  const dir = join(makingDir(cache.dir), [randomUUID(), ownerText(cache.self)].join("~"));
  await mkdir(dir, { mode: OWNER_ONLY_DIR });
  return dir;
}

/**
 * Notes that this process uses a tree, whether or not it exists yet: at once in the process, on disk when the
 * promise resolves. The returned function ends the use. Repeated calls do nothing.
 */
export async function holdTree(cache: CodeCache, key: string): Promise<() => Promise<void>> {
  cache.users.set(key, (cache.users.get(key) ?? 0) + 1);
  const path = join(holdsDir(cache.dir), [key, randomUUID(), ownerText(cache.self)].join("~"));
  let held = true;
  const release = async () => {
    if (!held) return;
    held = false;
    const left = (cache.users.get(key) ?? 1) - 1;
    if (left === 0) cache.users.delete(key);
    else cache.users.set(key, left);
    await rm(path, { force: true });
  };
  try {
    await writeFile(path, "", { mode: 0o600 });
    return release;
  } catch (cause) {
    await release();
    throw new CodeError("cache-unwritable", "The code cache cannot be written.", {
      output: cache.dir,
      cause,
    });
  }
}

/** The keys of all trees that a living process uses. */
export async function heldKeys(cacheDir: string): Promise<Set<string>> {
  const held = new Set<string>();
  for (const name of await readdir(holdsDir(cacheDir))) {
    const [key, , owner] = name.split("~");
    const identity = parseOwner(owner);
    if (key && identity && (await isAlive(identity))) held.add(key);
  }
  return held;
}

/** Sets a tree's last use to now. Best effort: the tree of another user cannot be touched. */
export async function touchTree(cache: CodeCache, key: string): Promise<void> {
  const nowSeconds = cache.clock.nowMs() / 1000;
  await utimes(treePath(cache, key), nowSeconds, nowSeconds).catch(() => {});
}

async function removeLeftovers(cacheDir: string): Promise<void> {
  for (const dir of [makingDir(cacheDir), holdsDir(cacheDir)]) {
    for (const name of await readdir(dir)) {
      const identity = parseOwner(name.split("~").at(-1));
      if (!identity || !(await isAlive(identity))) await removeTree(join(dir, name));
    }
  }
}

function makingDir(cacheDir: string): string {
  return join(cacheDir, ".making");
}

function holdsDir(cacheDir: string): string {
  return join(cacheDir, ".holds");
}

function ownerText(identity: ProcessIdentity): string {
  return `${identity.pid}.${Buffer.from(identity.start).toString("base64url")}`;
}

function parseOwner(text: string | undefined): ProcessIdentity | undefined {
  const [pid, start] = text?.split(".") ?? [];
  if (!pid || !start) return undefined;
  return { pid: Number(pid), start: Buffer.from(start, "base64url").toString() };
}
