import { chmod, mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** The permissions of files and folders that a store makes. */
export interface Modes {
  readonly file: number;
  readonly folder: number;
}

/** The permissions at a path relative to the store's root. */
export type Sharing = (relative: string) => Modes;

const SET_GROUP_ID = 0o2000;
const OWNER_ONLY: Modes = { file: 0o600, folder: 0o700 };
/** The values of an attempt: other attempts read them. */
const GROUP_READS: Modes = { file: 0o640, folder: 0o2750 };
/** Cached results: another attempt may replace them. */
const GROUP_WRITES: Modes = { file: 0o640, folder: 0o2770 };

/**
 * The permissions in a store's folder. A worker whose attempts have users of their own sets the bit "set group id" of the folder:
 * then the folder's group shares the store.
 */
export async function sharingOf(root: string): Promise<Sharing> {
  const mode = await stat(root).then(
    (found) => found.mode,
    () => 0,
  );
  if ((mode & SET_GROUP_ID) === 0) return () => OWNER_ONLY;
  return (relative) => (relative.startsWith("runs/") ? GROUP_READS : GROUP_WRITES);
}

/** Makes a folder and those above it, as far as they are missing. */
export async function makeFolders(path: string, { folder }: Modes): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: folder });
  if (first === undefined || folder === OWNER_ONLY.folder) return;
  // The process's mask has removed the group's right to write.
  for (let made = path; made.length >= first.length; made = dirname(made)) await chmod(made, folder);
}
