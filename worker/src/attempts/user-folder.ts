import { chmodSync, closeSync, constants, fchmodSync, fchownSync, lchownSync, openSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { CLAIM_FILES } from "./paths.ts";

/*
 * A claim's folder stays root's. The attempt's group may enter it and make files there. By the sticky bit it can neither remove nor
 * rename the worker's files: the attempt's file, the token, the parameters, the output and the socket.
 */

const ROOT = 0;
const GROUP_ADDS = 0o1770;
const GROUP_ENTERS = 0o710;
const GROUP_READS = 0o640;

type User = { readonly uid: number };

/*
 * The start of each run waits for these calls, and none of them waits for a disk. In the thread pool each one would wait for its turn:
 * that added 10 ms to a start on two busy cores.
 */

/** Lets the processes of a user use a claim's folder, and no others. */
export async function letEnter(dir: string, { uid }: User): Promise<void> {
  lchownSync(join(dir, CLAIM_FILES.work), uid, uid);
  await letRead(join(dir, CLAIM_FILES.tokenFile), { uid });
  lchownSync(dir, ROOT, uid);
  chmodSync(dir, GROUP_ADDS);
}

/** Lets the processes of a user connect to a socket in a folder of its own. */
export async function letEnterSocketFolder(dir: string, { uid }: User): Promise<void> {
  lchownSync(dir, ROOT, uid);
  chmodSync(dir, GROUP_ENTERS);
}

/** Lets a user read a file of the worker. */
export async function letRead(path: string, { uid }: User): Promise<void> {
  // A pipe of this name, which a process of the user may have made, must not block the worker.
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    fchownSync(file, ROOT, uid);
    fchmodSync(file, GROUP_READS);
  } finally {
    closeSync(file);
  }
}

/**
 * Whether a file belongs to this user. A hard link to a file of another user, which the worker could read, does not.
 */
export async function isOwnFile(path: string, { uid }: User): Promise<boolean> {
  return await lstat(path).then(
    (found) => found.isFile() && found.uid === uid,
    () => false,
  );
}
