import { chmod, chown, lchown, lstat, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { giveTree } from "./own-tree.ts";

/*
 * STORE/                      root's; the group of attempts may read it
 * STORE/runs/RUN/             root's
 * STORE/runs/RUN/attempt-N/   the attempt's while it runs, then root's; the group may read it
 * STORE/runs/RUN/attempt-0/JOB/  the process's that polls an external job, while it polls
 * STORE/cache/                the group may write: results that are cached belong to all flows
 *
 * The bit "set group id" of the store's folder says that the group shares it. The engines look for it, and let the group read
 * what they write.
 */

const ROOT = 0;
const SHARED = 0o2000;
const READ_FOLDER = 0o2750;
const WRITE_FOLDER = 0o2770;
const READ_FILE = 0o640;
const WRITE_FILE = 0o660;

/** Lets a group use a store in a folder. Values from before that are root's become readable for the group. */
export async function shareStore(root: string, group: number): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  const before = await stat(root);
  const isShared = before.gid === group && (before.mode & SHARED) !== 0;
  const common = { group, owner: before.uid, isShared };
  await makeFolder(join(root, "runs"), { ...common, mode: READ_FOLDER });
  await makeFolder(join(root, "cache"), { ...common, mode: WRITE_FOLDER });
  if (isShared) return;
  await chown(root, -1, group);
  // Last: if the worker dies before this, its next start begins anew. Other users keep the rights that they had.
  await chmod(root, (before.mode & 0o777) | READ_FOLDER);
}

async function makeFolder(
  path: string,
  { group, owner, mode, isShared }: { group: number; owner: number; mode: number; isShared: boolean },
): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch(ignoreExisting);
  if (isShared && (await lstat(path)).gid === group) return;
  const fileMode = mode === WRITE_FOLDER ? WRITE_FILE : READ_FILE;
  const from = (uid: number) => uid === ROOT || uid === owner;
  await giveTree(path, { from, to: { uid: ROOT, gid: group, folderMode: mode, fileMode } });
}

/** One attempt's folder in a store, or that of the results of an external job, which no attempt writes. */
export interface AttemptValues {
  readonly root: string;
  readonly runId: string;
  /** The number of the attempt in its run. */
  readonly ordinal: number;
  /** The key of an external job. Missing: an attempt writes. */
  readonly job?: string;
  readonly uid: number;
  readonly group: number;
  /** Whether a user is one of attempts. */
  readonly isOfAttempts: (uid: number) => boolean;
}

const folderOf = ({ root, runId }: AttemptValues) => join(root, "runs", runId);
const attemptOf = (values: AttemptValues) => join(folderOf(values), `attempt-${values.ordinal}`);
const valuesOf = (values: AttemptValues) => join(attemptOf(values), values.job ?? "");

/** Makes the folder of an attempt's values. Another claim of the attempt may have left some there. */
export async function openValues(values: AttemptValues): Promise<void> {
  const { uid, group, isOfAttempts } = values;
  for (const parent of [folderOf(values), ...(values.job === undefined ? [] : [attemptOf(values)])]) {
    await mkdir(parent, { mode: 0o700 }).catch(ignoreExisting);
    // An existing one too: a worker that died between these two steps has left it closed.
    await share(parent, ROOT, group);
  }
  const dir = valuesOf(values);
  const isNew = await mkdir(dir, { mode: 0o700 }).then(() => true, ignoreExisting);
  if (isNew === true) return await share(dir, uid, group);
  const to = { uid, gid: group, folderMode: READ_FOLDER, fileMode: READ_FILE };
  await giveTree(dir, { from: (owner) => owner === ROOT || isOfAttempts(owner), to });
}

async function share(dir: string, uid: number, group: number): Promise<void> {
  await lchown(dir, uid, group);
  await chmod(dir, READ_FOLDER);
}

/** Makes an attempt's values root's, so that no later attempt can change them. All processes of the attempt have ended. */
export async function closeValues(values: AttemptValues): Promise<void> {
  const to = { uid: ROOT, gid: values.group, folderMode: READ_FOLDER, fileMode: READ_FILE };
  await giveTree(valuesOf(values), { from: (uid) => uid === values.uid, to }).catch(ignoreMissing);
}

function ignoreExisting(error: unknown): void {
  if (codeOf(error) !== "EEXIST") throw error;
}

function ignoreMissing(error: unknown): void {
  if (codeOf(error) !== "ENOENT") throw error;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
