import { mkdir, mkdtemp, symlink, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Fence } from "@towpath/contract";
import { removeIfAny } from "../state/atomic-file.ts";
import { INSIDE, ROOM, ROOM_NAME } from "../walls/index.ts";

/** The longest path of a Unix socket on any system, bytes. */
const SOCKET_PATH_BYTES = 100;
const SOCKET_NAME = "gateway.sock";
const SOCKET_FOLDER = "towpath-";

/** Where things are in the worker's state directory. */
export interface StatePaths {
  readonly stateDir: string;
  readonly attempts: string;
  readonly journals: string;
  readonly runners: string;
  /** The home folders of attempts' users. */
  readonly users: string;
  /** Preallocated folders and journals. On the same file system as both. */
  readonly preallocation: string;
  readonly cache: string;
  /** Environments of Python. */
  readonly environments: string;
  /** What installers have downloaded. */
  readonly downloads: string;
  readonly compileCache: string;
  readonly floors: string;
  /** The heads of the deployers' ledger that this worker has seen. */
  readonly ledgerHeads: string;
  /** The last copy of a ledger that is read over the network. */
  readonly ledgerCopy: string;
  /** When that copy was read, and from where. */
  readonly ledgerCopyFacts: string;
  readonly identity: string;
  readonly reserve: string;
}

/** The layout of a state directory. */
export function statePaths(stateDir: string): StatePaths {
  return {
    stateDir,
    attempts: join(stateDir, "attempts"),
    journals: join(stateDir, "journals"),
    runners: join(stateDir, "runners"),
    users: join(stateDir, "users"),
    preallocation: join(stateDir, "preallocation"),
    cache: join(stateDir, "cache"),
    environments: join(stateDir, "environments"),
    downloads: join(stateDir, "downloads"),
    compileCache: join(stateDir, "compile-cache"),
    floors: join(stateDir, "floors.json"),
    ledgerHeads: join(stateDir, "ledger-heads.json"),
    ledgerCopy: join(stateDir, "ledger-copy.jsonl"),
    ledgerCopyFacts: join(stateDir, "ledger-copy.json"),
    identity: join(stateDir, "worker.json"),
    reserve: join(stateDir, "reserve"),
  };
}

/** The name of one claim's folders. A later claim of the same attempt has its own. */
export function claimName(fence: Pick<Fence, "attemptId" | "epoch">): string {
  return `${fence.attemptId}.${fence.epoch}`;
}

/** Where things are in one claim's folder. */
export interface ClaimPaths {
  readonly dir: string;
  /** What a process in namespaces shares with the worker. Null: the process uses the claim's folder itself. */
  readonly room: string | null;
  readonly file: string;
  readonly work: string;
  readonly tokenFile: string;
  readonly parametersFile: string;
  readonly exitFile: string;
  readonly takenFile: string;
  /** The ends for which the flow has a hook. Its runner writes them. */
  readonly handlesFile: string;
  /** The number of the flow's newest log line. The flow writes it. */
  readonly newestLineFile: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** What is in a claim's folder from the beginning. */
export const CLAIM_FILES = { file: "attempt.json", work: "work", tokenFile: "token" } as const;

/** The paths that an attempt's process uses. */
export type ProcessPaths = Pick<
  ClaimPaths,
  "work" | "tokenFile" | "parametersFile" | "exitFile" | "takenFile" | "handlesFile" | "newestLineFile"
>;

/** The layout of one claim's folder. */
export function claimPaths(
  paths: StatePaths,
  fence: Pick<Fence, "attemptId" | "epoch">,
  { hasRoom }: { readonly hasRoom: boolean },
): ClaimPaths {
  const dir = join(paths.attempts, claimName(fence));
  const room = hasRoom ? join(dir, ROOM_NAME) : null;
  return {
    dir,
    room,
    file: join(dir, CLAIM_FILES.file),
    ...processPaths(room ?? dir, room === null ? dir : join(room, ROOM.given)),
    stdout: join(dir, "stdout"),
    stderr: join(dir, "stderr"),
  };
}

/** The paths that a process in namespaces uses, and the gateway's socket there. */
export function pathsInside(socket: string): ProcessPaths & { readonly socket: string } {
  const given = join(INSIDE, ROOM.given);
  return { ...processPaths(INSIDE, given), socket: join(given, basename(socket)) };
}

/** @param given The folder with what the worker gives to the process. */
function processPaths(own: string, given: string): ProcessPaths {
  return {
    work: join(own, CLAIM_FILES.work),
    tokenFile: join(given, CLAIM_FILES.tokenFile),
    parametersFile: join(given, "parameters.json"),
    exitFile: join(own, "exit.json"),
    takenFile: join(own, "taken"),
    handlesFile: join(own, "handles"),
    newestLineFile: join(own, "newest-line"),
  };
}

/**
 * A path for the gateway's socket: in the folder of what the process gets, or, where that is too long, in a short folder of its
 * own (mode 0700). A process in namespaces finds the socket in its room, so there the short folder has a link to that.
 */
export async function socketPath({ dir, room }: Pick<ClaimPaths, "dir" | "room">): Promise<string> {
  const given = room === null ? dir : join(room, ROOM.given);
  const path = join(given, SOCKET_NAME);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES) return path;
  const folder = await mkdtemp(join(tmpdir(), SOCKET_FOLDER));
  if (room === null) return join(folder, "s");
  await symlink(given, join(folder, LINK));
  return join(folder, LINK, "s");
}

/** The name of the link in a short folder. */
const LINK = "given";

/** Makes the short folder of a socket again, if it has one and lost it. @returns the folder, or null */
export async function restoreSocketFolder(
  socket: string,
  { room }: Pick<ClaimPaths, "room">,
): Promise<string | null> {
  const folder = shortFolder(socket);
  if (folder === null) return null;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (room === null) return folder;
  await unlink(join(folder, LINK)).catch(() => {});
  await symlink(join(room, ROOM.given), join(folder, LINK));
  return folder;
}

/** Removes the short folder of a socket, if it has one. It removes no other folder, whatever the attempt's file says. */
export async function removeSocketFolder(socket: string): Promise<void> {
  const folder = shortFolder(socket);
  if (folder !== null) await removeIfAny(folder);
}

/** The short folder of a socket. Null: it lies in the claim's folder. */
export function shortFolder(socket: string): string | null {
  const at = dirname(socket);
  const folder = basename(at) === LINK ? dirname(at) : at;
  return dirname(folder) === tmpdir() && basename(folder).startsWith(SOCKET_FOLDER) ? folder : null;
}
