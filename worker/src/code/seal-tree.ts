import type { Dirent } from "node:fs";
import { chmod, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

const READ_ONLY_DIRECTORY = 0o555;
const WRITABLE_DIRECTORY = 0o755;

const ALL_READ = 0o444;
const ALL_EXECUTE = 0o111;
const OWNER_EXECUTES = 0o100;

/**
 * Syncs a written tree to the disk and removes the permission to change it. Without the sync, a power cut could
 * leave empty files under the final name, and the digest is never checked again. Users of attempts can read all files, whatever
 * umask the worker has: an installer obeys it.
 */
export async function sealTree(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) await sealTree(path);
    else if (entry.isFile()) await sealFile(path);
  }
  await syncPath(dir);
  await chmod(dir, READ_ONLY_DIRECTORY);
}

/** Removes a tree, sealed or not. Does nothing if it is gone already. Never follows a link. */
export async function removeTree(dir: string): Promise<void> {
  await unseal(dir);
  await rm(dir, { recursive: true, force: true });
}

// Only root may empty a directory that it may not write to.
async function unseal(dir: string): Promise<void> {
  let entries: Dirent[];
  try {
    await chmod(dir, WRITABLE_DIRECTORY);
    entries = await readdir(dir, { withFileTypes: true });
  } catch {
    // Gone, or another user's: the removal that follows decides.
    return;
  }
  for (const entry of entries) if (entry.isDirectory()) await unseal(join(dir, entry.name));
}

async function sealFile(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    const { mode } = await handle.stat();
    const opened = mode | ALL_READ | ((mode & OWNER_EXECUTES) === 0 ? 0 : ALL_EXECUTE);
    if (opened !== mode) await handle.chmod(opened & 0o777);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
