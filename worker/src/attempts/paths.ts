import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Fence } from "@towpath/contract";
import { removeIfAny } from "../state/atomic-file.ts";

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

/** The layout of one claim's folder. */
export function claimPaths(paths: StatePaths, fence: Pick<Fence, "attemptId" | "epoch">): ClaimPaths {
  const dir = join(paths.attempts, claimName(fence));
  return {
    dir,
    file: join(dir, CLAIM_FILES.file),
    work: join(dir, CLAIM_FILES.work),
    tokenFile: join(dir, CLAIM_FILES.tokenFile),
    parametersFile: join(dir, "parameters.json"),
    exitFile: join(dir, "exit.json"),
    takenFile: join(dir, "taken"),
    handlesFile: join(dir, "handles"),
    newestLineFile: join(dir, "newest-line"),
    stdout: join(dir, "stdout"),
    stderr: join(dir, "stderr"),
  };
}

/**
 * A path for the gateway's socket: in the claim's folder, or, where that is too long, in a short folder of its
 * own (mode 0700).
 */
export async function socketPath(dir: string): Promise<string> {
  const path = join(dir, SOCKET_NAME);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES) return path;
  return join(await mkdtemp(join(tmpdir(), SOCKET_FOLDER)), "s");
}

/** Removes the short folder of a socket, if it has one. It removes no other folder, whatever the attempt's file says. */
export async function removeSocketFolder(socket: string): Promise<void> {
  const folder = dirname(socket);
  if (dirname(folder) === tmpdir() && basename(folder).startsWith(SOCKET_FOLDER)) await removeIfAny(folder);
}
