import { randomUUID } from "node:crypto";
import { constants, type Dirent } from "node:fs";
import { chmod, type FileHandle, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Only the worker's own user may read these files. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** The longest file that is read whole. The worker's own files are far shorter. */
const READ_MAX_BYTES = 16 * 1024 * 1024;
/**
 * Flows run as the worker's user and may put a link or a pipe in a file's place. A link is not followed, and a
 * pipe does not block the open.
 */
const NO_TRICKS = constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** How a file is replaced. */
export interface Replacing {
  /** The draft has a random name and is a new file: somebody else may write in the folder. @default false */
  readonly ownDraft?: boolean;
}

const MAKE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_TRICKS;
const REPLACE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | NO_TRICKS;

/**
 * Replaces a file whole and waits for the disk: a crash leaves the earlier or the later text. Callers serialize
 * their writes to one path: two at once would share the temporary file.
 */
export async function writeFileAtomic(path: string, text: string, how: Replacing = {}): Promise<void> {
  await putInPlace(path, text, { ...how, settle: (file) => file.sync() });
  await syncFolder(dirname(path));
}

/**
 * Replaces a file whole, so that the next process reads it even after a kill. It does not wait for the disk, so
 * after a power cut there may be either text, none, or an empty file. Callers serialize as above.
 */
export async function replaceFile(path: string, text: string, how: Replacing = {}): Promise<void> {
  await putInPlace(path, text, { ...how, settle: async () => {} });
}

async function putInPlace(
  path: string,
  text: string,
  { settle, ownDraft = false }: Replacing & { settle: (file: FileHandle) => Promise<void> },
): Promise<void> {
  const temporary = ownDraft ? `${path}.${randomUUID()}` : `${path}.next`;
  const file = await open(temporary, ownDraft ? MAKE : REPLACE, FILE_MODE);
  try {
    await file.writeFile(text);
    await settle(file);
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Makes the entries of a folder durable: otherwise a power cut may undo a rename. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Opens a regular file for reading; null when there is none.
 * @throws StateError when it is no regular file.
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
 * Reads a regular file as text; null when there is none.
 * @throws StateError when it is no regular file, or far longer than anything that the worker writes.
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
 * Removes a file or a folder with its content, including read-only folders. Links are not followed. Does nothing
 * if it is missing.
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
    // Gone, a file, or another user's: the removal that follows decides.
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

/** A file in the worker's state directory cannot be used. The message says what to do. */
export class StateError extends Error {
  override readonly name = "StateError";
}
