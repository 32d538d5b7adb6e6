import { existsSync } from "node:fs";
import { readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  Assignment,
  FailedBy,
  type Fence,
  FlowCause,
  Id,
  MoreWaits,
  Ref,
  RunError,
  Spec,
  SuspendedOn,
} from "@towpath/contract";
import { readBootId, UNKNOWN_BOOT } from "@towpath/contract/process";
import { z } from "zod";
import { type CommandExit, STOPS, type StopReason } from "../launch/index.ts";
import {
  readFileIfAny,
  removeIfAny,
  replaceFile,
  StateError,
  writeFileAtomic,
} from "../state/atomic-file.ts";
import { type AttemptUser, ROOM_NAME, removeUnfollowed, type Walls } from "../walls/index.ts";
import {
  CLAIM_FILES,
  type ClaimPaths,
  claimName,
  claimPaths,
  removeSocketFolder,
  restoreSocketFolder,
  type StatePaths,
  shortFolder,
  socketPath,
} from "./paths.ts";
import { PHASES } from "./phases.ts";
import { type Preallocation, placeFolder, placeRoom } from "./preallocation.ts";
import { isOwnFile, letEnter, letEnterSocketFolder, letRead } from "./user-folder.ts";

const STOP_NAMES = Object.keys(STOPS) as [StopReason, ...StopReason[]];
const OWNER_ONLY = { mode: 0o600 } as const;

/** What a worker must know of an attempt to go on with it after a restart. */
export const StoredAttempt = z.object({
  format: z.literal(1),
  boot: z
    .string()
    .nullable()
    .default(null)
    .describe("The boot of the machine in which it was written. Null: an earlier release wrote it."),
  phase: z.enum(PHASES),
  assignment: Assignment,
  workspaceId: Id,
  spec: Spec,
  sealedOnly: z.boolean().default(false).describe("Whether plain answers are refused."),
  socket: z.string(),
  process: z
    .object({
      pid: z.int(),
      start: z.string(),
      mark: z.string(),
      monitor: z.object({ pid: z.int(), start: z.string() }).nullable().default(null),
    })
    .nullable()
    .describe(
      "The runner: pid, kernel start time, and the variable that marks its child processes. In namespaces: their first process, and the one that ends with the runner.",
    ),
  user: z
    .object({ uid: z.int().positive() })
    .nullable()
    .default(null)
    .describe("The user that its processes run as. Null: the worker's."),
  launchedAtMs: z.number().nullable().describe("On the boot-time clock. A process never outlives its boot."),
  stop: z.enum(STOP_NAMES).nullable(),
  declined: z
    .string()
    .nullable()
    .default(null)
    .describe("Why the control plane did not accept the start. Written before that answer is acknowledged."),
  outcome: z
    .object({
      outcome: z.enum(["completed", "failed", "cancelled", "suspended"]),
      waits: SuspendedOn.optional(),
      moreWaits: MoreWaits.optional(),
      cause: FlowCause.optional(),
      failedBy: FailedBy.optional(),
      error: RunError.optional(),
      result: Ref.optional(),
    })
    .nullable()
    .describe("The flow's outcome, redacted. It is reported when the process has ended."),
  cleanedUp: z
    .boolean()
    .default(false)
    .describe("Whether a second process was started for the flow's hook, after the first had ended."),
  gpus: z
    .array(z.string())
    .default([])
    .describe("Ids of its devices. No other attempt gets them while its process may run."),
  secrets: z
    .record(z.string(), z.string())
    .describe("Salted SHA-256 of each secret, to detect after a restart that a secret has changed."),
});
export type StoredAttempt = z.infer<typeof StoredAttempt>;

const CommandExitFile = z.object({
  code: z.int().nullable(),
  signal: z.string().nullable(),
  error: z.string().nullable(),
});

/**
 * What is kept of one claim on the worker's disk and read back after a restart. `phases.ts` says what is there
 * in which phase. `Spool` keeps its journal.
 */
export interface AttemptStore {
  /** The files that the process of the claim reads and writes, as the worker sees them. */
  readonly files: ClaimPaths;
  /**
   * Makes the claim's folder. Once it resolves, a restart goes on from there.
   * @param room What its process shares with the worker. Null: the claim's folder.
   */
  create(
    attempt: Omit<StoredAttempt, "socket">,
    room: string | null,
  ): Promise<{ stored: StoredAttempt; token: string }>;
  /** Replaces what is stored. Calls are carried out in order, so the last state stays. */
  save(attempt: StoredAttempt): Promise<void>;
  /** Adds what only a launch needs: the parameters, and the output files of the runner in `runnerDir`. */
  fill(args: {
    parameters: Assignment["parameters"];
    runnerDir: string;
    user: StoredAttempt["user"];
  }): Promise<void>;
  /** Gives the claim's folder to another user, whose processes can then use it. */
  giveTo(user: Pick<AttemptUser, "uid">, socket: string): Promise<void>;
  /** Moves the output files of a runner into the claim's folder. */
  takeOutput(runnerDir: string): Promise<void>;
  /** The token in a folder that an earlier process of this worker made. Makes the socket's folder again. @throws StateError */
  reopen(stored: StoredAttempt): Promise<{ token: string }>;
  /** Whether the runner has taken its task. */
  isTaken(): boolean;
  /** The ends for which the flow has a hook. */
  hooks(user: StoredAttempt["user"]): Promise<readonly string[]>;
  /** How the command ended; null if it was not written down. */
  commandExit(user: StoredAttempt["user"]): Promise<CommandExit | null>;
  /** Removes the folder, after the last write. */
  remove(stored: StoredAttempt | null): Promise<void>;
}

/** What a store needs. */
interface StoreDeps {
  readonly paths: StatePaths;
  readonly preallocation: Preallocation;
  readonly walls: Pick<Walls, "namespaces">;
}

/** The store of one claim, in a folder of the state directory that only its owner may read. */
export function openStore(deps: StoreDeps, fence: Pick<Fence, "attemptId" | "epoch">): AttemptStore {
  let files = claimPaths(deps.paths, fence, { hasRoom: hasRoom(deps, fence) });
  let saving: Promise<void> = Promise.resolve();
  const inTurn = async (write: () => Promise<void>) => {
    const turn = saving.then(write);
    saving = turn.catch(() => {});
    await turn;
  };
  const takeOutput = async (runnerDir: string) => {
    const streams = ["stdout", "stderr"] as const;
    await Promise.all(streams.map((stream) => rename(join(runnerDir, stream), files[stream])));
  };
  const giveFolder = async (dir: string, args: { user: { uid: number }; socket: string }) => {
    const { socket, user } = args;
    // The process has its room mounted. A second one enters the folder to have it mounted too.
    if (files.room !== null) return await letEnterSocketFolder(dir, user);
    await letEnter(dir, user);
    const short = shortFolder(socket);
    if (short !== null) await letEnterSocketFolder(short, user);
  };
  const giveTo: AttemptStore["giveTo"] = (user, socket) => giveFolder(files.dir, { user, socket });
  return {
    get files() {
      return files;
    },
    takeOutput,
    giveTo,
    async create(attempt, room) {
      files = claimPaths(deps.paths, fence, { hasRoom: room !== null });
      const [folder, socket] = await Promise.all([deps.preallocation.folder(), socketPath(files)]);
      const stored = { ...attempt, socket };
      try {
        if (room !== null) await placeRoom(room, { folder: folder.dir, user: attempt.user });
        if (attempt.user !== null) await giveFolder(folder.dir, { user: attempt.user, socket });
        await inTurn(() => placeFolder(folder, { to: files.dir, text: JSON.stringify(stored) }));
      } catch (error) {
        await removeSocketFolder(socket);
        throw error;
      }
      return { stored, token: folder.token };
    },
    save: (attempt) => inTurn(() => writeStored(files.file, attempt)),
    async fill({ parameters, runnerDir, user }) {
      const text = JSON.stringify(parameters);
      await Promise.all([writeFile(files.parametersFile, text, OWNER_ONLY), takeOutput(runnerDir)]);
      if (user !== null) await letRead(files.parametersFile, user);
    },
    async reopen({ socket, user }) {
      const token = await readFileIfAny(files.tokenFile);
      if (!token) throw new StateError("The attempt's token is missing.");
      const short = await restoreSocketFolder(socket, files);
      if (user !== null && short !== null && files.room === null) await letEnterSocketFolder(short, user);
      return { token };
    },
    isTaken: () => existsSync(files.takenFile),
    hooks: async (user) => (await readOwn(files.handlesFile, user))?.split(" ") ?? [],
    async commandExit(user) {
      try {
        const text = await readOwn(files.exitFile, user);
        return text === null ? null : CommandExitFile.parse(JSON.parse(text));
      } catch {
        return null;
      }
    },
    async remove(stored) {
      await saving;
      if (stored) await removeSocketFolder(stored.socket);
      const isForeign = stored?.user || files.room !== null;
      await (isForeign ? removeUnfollowed(files.dir) : removeIfAny(files.dir));
    },
  };
}

/** Whether the process of a claim has a room. An earlier process of this worker may have had other walls. */
function hasRoom({ paths, walls }: StoreDeps, fence: Pick<Fence, "attemptId" | "epoch">): boolean {
  const dir = join(paths.attempts, claimName(fence));
  return existsSync(dir) ? existsSync(join(dir, ROOM_NAME)) : walls.namespaces !== null;
}

/** A file that a process of the attempt wrote. Null: it is missing, or it is no file of that process's user. */
async function readOwn(path: string, user: StoredAttempt["user"]): Promise<string | null> {
  return user === null || (await isOwnFile(path, user)) ? await readFileIfAny(path) : null;
}

/**
 * Writes the attempt's file. It outlives the worker. It outlives a power cut only on a machine that has no boot
 * id: elsewhere a restart does not rely on files of an earlier boot, see `isOfThisBoot`.
 */
async function writeStored(path: string, attempt: StoredAttempt): Promise<void> {
  const write = attempt.boot === UNKNOWN_BOOT ? writeFileAtomic : replaceFile;
  // The flow may have made a file with the name of the draft.
  await write(path, JSON.stringify(attempt), { ownDraft: attempt.user !== null });
}

/** Whether the machine has not been down since this was written. Then the disk has lost no later state. */
export function isOfThisBoot({ boot }: StoredAttempt): boolean {
  return boot === null || boot === readBootId();
}

/** What is stored in each folder of attempts. Null: a file that does not belong there or that this release cannot read. */
export async function listStored(
  paths: StatePaths,
): Promise<{ dir: string; stored: StoredAttempt | null }[]> {
  const names = await listFolders(paths.attempts);
  return await Promise.all(
    names.map(async (name) => {
      const dir = join(paths.attempts, name);
      const stored = await readStored(join(dir, CLAIM_FILES.file));
      return { dir, stored: stored && claimName(stored.assignment) === name ? stored : null };
    }),
  );
}

async function readStored(path: string): Promise<StoredAttempt | null> {
  try {
    const text = await readFileIfAny(path);
    return text === null ? null : StoredAttempt.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** The folders in a folder. */
export async function listFolders(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
