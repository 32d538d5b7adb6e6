import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import {
  chmod,
  type FileHandle,
  lchown,
  lstat,
  open,
  opendir,
  rename,
  rmdir,
  unlink,
} from "node:fs/promises";

/*
 * A flow can replace a folder with a link at any moment, and the worker is root. So each step names one entry of an open
 * folder, and no step follows a link. `/proc/self/fd/N` names the open folder itself, whatever lies at its path now.
 */

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const ENTRY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** A deeper tree of values is left alone. */
const DEPTH_MAX = 64;

const inside = (folder: FileHandle, name: string) => `/proc/self/fd/${folder.fd}/${name}`;

/** Removes a file, a link or a folder with its content. Follows no link. Does nothing if it is missing. */
export async function removeUnfollowed(path: string): Promise<void> {
  if (!(await isFolder(path))) return await unlinkIfAny(path);
  const top = await open(path, FOLDER);
  try {
    // Folders are moved up to the top, so that the depth of a tree costs no open files.
    const flatten = async (folder: FileHandle): Promise<void> => {
      for (const name of await namesIn(folder)) {
        const entry = inside(folder, name);
        if (!(await isFolder(entry))) await unlinkIfAny(entry);
        else if (folder !== top) await moveUp(entry, inside(top, `.removed-${randomUUID()}`));
      }
    };
    await flatten(top);
    for (let names = await namesIn(top); names.length > 0; names = await namesIn(top))
      for (const name of names) {
        if (process.getuid?.() !== 0) await chmod(inside(top, name), 0o700);
        const below = await open(inside(top, name), FOLDER);
        try {
          await below.chmod(0o700);
          await flatten(below);
        } finally {
          await below.close();
        }
        await rmdir(inside(top, name));
      }
  } finally {
    await top.close();
  }
  await rmdir(path);
}

/**
 * Moves a folder. Only root may move one that is closed. Another user opens it first: then everything is its own, and no process
 * that could put a link there is left.
 */
async function moveUp(from: string, to: string): Promise<void> {
  if (process.getuid?.() !== 0) await chmod(from, 0o700);
  await rename(from, to);
}

/** Who gets a tree, and with which permissions. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  readonly folderMode: number;
  readonly fileMode: number;
}

/** What to give, and to whom. */
export interface Giving {
  /** Whether an entry of this user is given. The others stay as they are: a hard link can stand for a file of anyone. */
  readonly from: (uid: number) => boolean;
  readonly to: Ownership;
}

/** Gives a folder and everything in it to a user. Follows no link. */
export async function giveTree(path: string, args: Giving): Promise<void> {
  const top = await open(path, FOLDER);
  try {
    await giveFolder(top, args, 0);
  } finally {
    await top.close();
  }
}

async function giveFolder(folder: FileHandle, args: Giving, depth: number): Promise<void> {
  const { to } = args;
  if (args.from((await folder.stat()).uid)) {
    await folder.chown(to.uid, to.gid);
    await folder.chmod(to.folderMode);
  }
  if (depth >= DEPTH_MAX) return;
  for (const name of await namesIn(folder)) {
    const found = await lstat(inside(folder, name));
    if (found.isDirectory()) {
      const below = await open(inside(folder, name), FOLDER);
      try {
        await giveFolder(below, args, depth + 1);
      } finally {
        await below.close();
      }
    } else if (args.from(found.uid)) await giveEntry(inside(folder, name), args);
  }
}

async function giveEntry(path: string, { from, to }: Giving): Promise<void> {
  const found = await lstat(path);
  if (!found.isFile()) return await lchown(path, to.uid, to.gid);
  const file = await open(path, ENTRY);
  try {
    const now = await file.stat();
    if (!now.isFile() || !from(now.uid)) return;
    await file.chown(to.uid, to.gid);
    await file.chmod(to.fileMode);
  } finally {
    await file.close();
  }
}

async function namesIn(folder: FileHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of await opendir(`/proc/self/fd/${folder.fd}`)) names.push(name);
  return names;
}

async function isFolder(path: string): Promise<boolean> {
  return await lstat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function unlinkIfAny(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}
