import { constants, type Dirent } from "node:fs";
import { chmod, type FileHandle, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Only the worker's own user may read what it keeps. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** The longest file that is read whole: what the worker itself writes is far shorter. */
const READ_MAX_BYTES = 16 * 1024 * 1024;
/**
 * Flows run as the worker's user and may put a link or a pipe in a file's place: a link is not followed, and a pipe does not
 * hold the open for ever.
 */
const NO_TRICKS = constants.O_NOFOLLOW | constants.O_NONBLOCK;
const REPLACE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | NO_TRICKS;

/**
 * Replaces a file whole, so that a crash leaves either the earlier or the later text, on the disk and not in a cache.
 * Callers serialise their own writes to one path: two at once would share the temporary file.
 */
export async function writeFileAtomic(path: string, text: string): Promise<void> {
  await putInPlace(path, text, (file) => file.sync());
  await syncFolder(dirname(path));
}

/**
 * Replaces a file whole for whoever comes after this process, killed or not. After a power cut there may be either text, none, or
 * an empty file: it does not wait for the disk, which takes ten times as long. Callers serialise as above.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  await putInPlace(path, text, async () => {});
}

async function putInPlace(path: string, text: string, settle: (file: FileHandle) => Promise<void>) {
  const temporary = `${path}.next`;
  const file = await open(temporary, REPLACE, FILE_MODE);
  try {
    await file.writeFile(text);
    await settle(file);
  } finally {
    await file.close();
  }
  await rename(temporary, path);
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

/**
 * Opens a regular file for reading, or answers null when there is none.
 * @throws StateError when something else stands in its place.
 */
export async function openIfAny(path: string): Promise<FileHandle | null> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | NO_TRICKS);
  } catch (error) {
    if (isMissing(error)) return null;
    if (codeOf(error) === "ELOOP") throw notAFile(path);
    throw error;
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw notAFile(path);
}

/**
 * Reads a regular file as text, or answers null when there is none.
 * @throws StateError when something else stands in its place, or it is far longer than anything the worker writes.
 */
export async function readFileIfAny(path: string): Promise<string | null> {
  const file = await openIfAny(path);
  if (!file) return null;
  try {
    if ((await file.stat()).size > READ_MAX_BYTES)
      throw new StateError(`${path} is over ${READ_MAX_BYTES} bytes long, so it is not the worker's own.`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/**
 * Removes a file or folder with all in it, folders that were made read-only included; links are not followed. One that is not
 * there is no fault.
 */
export async function removeIfAny(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (codeOf(error) !== "EACCES" && codeOf(error) !== "EPERM") throw error;
    await openFolders(path);
    await rm(path, { recursive: true, force: true });
  }
}

// Only root may empty a folder that it may not write to.
async function openFolders(path: string): Promise<void> {
  let entries: Dirent[];
  try {
    await chmod(path, FOLDER_MODE);
    entries = await readdir(path, { withFileTypes: true });
  } catch {
    // Gone, a file, or somebody else's: the removal that follows decides.
    return;
  }
  for (const entry of entries) if (entry.isDirectory()) await openFolders(join(path, entry.name));
}

function notAFile(path: string): StateError {
  return new StateError(`${path} is no regular file, so it is not the worker's own.`);
}

/** Whether an error says that a file or folder does not exist. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** What the worker keeps on its disk cannot be used; the message says what to do. */
export class StateError extends Error {
  override readonly name = "StateError";
}
