import { createHash } from "node:crypto";
import { lstat, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "./code-error.ts";

/*
 * A flow runs as the worker's user and could make the shared tree that it runs from writable, then change it for the next. No digest
 * of a tree is computed again, which for large ones would take longer than the flow; instead a seal remembers what the
 * system says of each entry. The change time among it is the kernel's, and no process can set it back.
 */

/** How many entries are read at once. */
const AT_ONCE = 64;

/** Where seals are kept, beside the trees. */
export function sealsDir(cacheDir: string): string {
  return join(cacheDir, ".seals");
}

/**
 * Writes down the state of a finished tree, before it gets its final name. A rename changes only its root, which is
 * left out.
 * @returns Where the seal lies: under the root's inode, so that two processes that fetch the same tree have two seals.
 */
export async function writeSeal(args: { cacheDir: string; key: string; treeDir: string }): Promise<string> {
  const path = await sealPath(args);
  await writeFile(path, await printOf(args.treeDir), { mode: 0o600 });
  return path;
}

/** `intact`: the tree equals its seal. `changed`: it differs, or has no seal. `missing`: there was no tree. */
export type TreeState = "intact" | "changed" | "missing";

/** The present state of a tree. */
export async function treeState(args: {
  cacheDir: string;
  key: string;
  treeDir: string;
}): Promise<TreeState> {
  try {
    const [noted, found] = await Promise.all([readSeal(args), printOf(args.treeDir)]);
    return noted === found ? "intact" : "changed";
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    // Otherwise it has no seal, or something in it has just vanished.
    return isMissing(error, args.treeDir) ? "missing" : "changed";
  }
}

function isMissing(error: unknown, path: string): boolean {
  return error instanceof Error && "path" in error && error.path === path && systemCode(error) === "ENOENT";
}

/** Removes the seals of trees that are gone. */
export async function removeSeals(cacheDir: string, isGone: (key: string) => boolean): Promise<void> {
  for (const name of await readdir(sealsDir(cacheDir))) {
    const [key] = name.split("~");
    if (key !== undefined && isGone(key)) await rm(join(sealsDir(cacheDir), name), { force: true });
  }
}

async function readSeal(args: { cacheDir: string; key: string; treeDir: string }): Promise<string> {
  return await readFile(await sealPath(args), "utf8");
}

async function sealPath(args: { cacheDir: string; key: string; treeDir: string }): Promise<string> {
  const { ino } = await lstat(args.treeDir, { bigint: true });
  return join(sealsDir(args.cacheDir), `${args.key}~${ino}`);
}

/** A digest of the system's data on every entry below a directory. */
async function printOf(dir: string): Promise<string> {
  const entries = await readdir(dir, { recursive: true });
  entries.sort();
  const hash = createHash("sha256");
  for (let from = 0; from < entries.length; from += AT_ONCE) {
    const some = entries.slice(from, from + AT_ONCE);
    for (const line of await Promise.all(some.map((entry) => describe(dir, entry)))) hash.update(line);
  }
  return hash.digest("hex");
}

async function describe(dir: string, entry: string): Promise<string> {
  const path = join(dir, entry);
  const stats = await lstat(path, { bigint: true });
  const target = stats.isSymbolicLink() ? await readlink(path) : "";
  const { mode, size, mtimeNs, ctimeNs } = stats;
  return `${JSON.stringify([entry, target])} ${mode} ${size} ${mtimeNs} ${ctimeNs}\n`;
}
