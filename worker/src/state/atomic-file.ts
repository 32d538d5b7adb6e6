import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Only the worker's own user may read what it keeps. */
const FILE_MODE = 0o600;

/**
 * Replaces a file whole, so that a crash leaves either the earlier or the later text, on the disk and not in a cache.
 * Callers serialise their own writes to one path: two at once would share the temporary file.
 */
export async function writeFileAtomic(path: string, text: string): Promise<void> {
  const temporary = `${path}.next`;
  const file = await open(temporary, "w", FILE_MODE);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

/** Makes the entries of a folder durable: without it a rename may be forgotten by a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Reads a file as text, or answers null when there is none. */
export async function readFileIfAny(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Removes a file or folder with all in it; one that is not there is no fault. */
export async function removeIfAny(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

/** Whether an error says that a file or folder does not exist. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
