import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, type FileHandle, lchown, mkdir, open, readFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { identifyProcess, type ProcessIdentity } from "@towpath/contract/process";
import { uuidv7 } from "@towpath/contract/words";
import { type Clock, killGroup, killMarked } from "../host/index.ts";
import { removeIfAny } from "../state/atomic-file.ts";
import {
  type AttemptUser,
  firstProcess,
  INFO_FD,
  INSIDE,
  makeRoom,
  ROOM,
  untilMounted,
  userEnvironment,
  type Walls,
} from "../walls/index.ts";
import { compilePackage } from "./compile-python.ts";
import {
  LaunchError,
  RUNNER_MARK,
  type RunnerCode,
  type RunnerLoad,
  type RunnerMessage,
  type RunnerTask,
} from "./runner-message.ts";
import { packageOf, type RunnerProgram, runnerCommand } from "./runner-program.ts";

/** How long a runner may take to accept its task, milliseconds. It runs already, so only an overloaded machine takes long. */
const TAKE_TIMEOUT_MS = 60_000;
/** How long code may take to load before there is a task, milliseconds. An attempt has a time limit of its own. */
const LOAD_TIMEOUT_MS = 60_000;

/** How a process ended. Both null: it is gone, and its exit was not seen. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A runner that this worker started. */
export interface RunnerProcess {
  /** The leader of its process group: the runner itself, or the first process of its namespaces. */
  readonly identity: ProcessIdentity;
  /** What starts the namespaces: it ends when the runner ends. Null: there are none. */
  readonly monitor: ProcessIdentity | null;
  /** What it shares with the worker. Null: it has no namespaces, and sees the claim's folder itself. */
  readonly room: string | null;
  /** `NAME=value` in the environment of the runner and of all its child processes. */
  readonly mark: string;
  /** Where its output goes until an attempt takes the files. */
  readonly dir: string;
  /** The user that it runs as. Null: the worker's. */
  readonly user: AttemptUser | null;
  /** Resolves when its imports are done; rejects if it ends first. */
  readonly ready: Promise<void>;
  readonly exited: Promise<ExitStatus>;
  /** Makes it load the code of its task. @throws LaunchError if it ends, or needs more than a minute. */
  load(code: RunnerCode): Promise<void>;
  /** Gives it its one task. @throws LaunchError if it ends before it takes the task. */
  assign(task: RunnerTask): Promise<void>;
  /** Sends a message to a runner whose task needs messages. */
  send(message: object): void;
  /** Gets the messages of such a runner. */
  hear(listener: (message: unknown) => void): void;
  /** Its user belongs to an attempt from now on, which gives it back. */
  keepUser(): AttemptUser | null;
  /** Ends a runner without a task, or one that did not take it in time, with all its child processes. */
  discard(): Promise<void>;
}

/** What starting runners needs. */
export interface RunnerDeps {
  readonly clock: Clock;
  /** Folder for the folders of waiting runners. */
  readonly runnersDir: string;
  readonly compileCacheDir: string;
  /** The allowed part of the worker's environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly walls: Walls;
}

/** What a runner is started with. */
export interface RunnerNeeds {
  /** The user of an attempt that already has one. It stays with that attempt. */
  readonly user?: AttemptUser | null;
  /** The room of an attempt that already has a process. Null: it has none, so its next process has no namespaces either. */
  readonly room?: string | null;
  /** The folders of its code and environment. Missing: not known yet, so in namespaces it sees those of all flows. */
  readonly trees?: readonly string[];
}

/**
 * Starts an idle runner as leader of its own process group. Its stdout and stderr go to files. It knows nothing
 * yet, and ends with its worker. Where walls stand it has a user of its own from its first instruction.
 * @throws LaunchError when the system cannot start it; NoUserFree.
 */
export async function spawnRunner(
  deps: RunnerDeps,
  program: RunnerProgram,
  needs: RunnerNeeds = {},
): Promise<RunnerProcess> {
  const { users } = deps.walls;
  const isOwn = (needs.user ?? null) === null;
  const user = needs.user ?? (users && (await users.take()));
  try {
    return await startRunner(deps, { ...needs, program, user, isOwn });
  } catch (error) {
    if (user !== null && isOwn) await users?.release(user);
    throw error;
  }
}

/** What starting one runner knows. */
interface Start extends RunnerNeeds {
  readonly program: RunnerProgram;
  readonly user: AttemptUser | null;
}

async function startRunner(
  deps: RunnerDeps,
  { isOwn: isOwnAtFirst, ...start }: Start & { readonly isOwn: boolean },
): Promise<RunnerProcess> {
  const { program, user } = start;
  const id = `${scopeOf(deps.runnersDir)}.${uuidv7(deps.clock.nowMs())}`;
  const dir = join(deps.runnersDir, id);
  const { child, room } = await startProcess(deps, { ...start, id, dir });
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once("exit", (code, signal) => resolve(room === null ? { code, signal } : asSignal(code, signal)));
  });
  const { ready, loaded, taken } = listen(child, { exited, program, user });
  const started = child.pid === undefined ? undefined : await identifyProcess(child.pid);
  const identity = room === null ? started : await firstInside(child);
  const mark = `${RUNNER_MARK}=${id}`;
  let ranCode = false;
  let isOwn = isOwnAtFirst;
  if (!identity) throw new LaunchError(`A runner ended as soon as it was started.${await whyOf(dir, room)}`);
  return {
    identity,
    monitor: room === null ? null : (started ?? null),
    room,
    mark,
    dir,
    user,
    ready,
    exited,
    async load(code) {
      ranCode = true;
      child.send({ kind: "load", ...code } satisfies RunnerLoad, ignoreGone);
      await Promise.race([loaded, refuseAfter(LOAD_TIMEOUT_MS, "load its code")]);
    },
    async assign(task) {
      ranCode = true;
      child.send(task, ignoreGone);
      await Promise.race([taken, refuseAfter(TAKE_TIMEOUT_MS, "take its task")]);
    },
    send: (message) => void child.send(message, ignoreGone),
    hear: (listener) => void child.on("message", listener),
    keepUser() {
      isOwn = false;
      return user;
    },
    async discard() {
      // It has nothing to lose, and a kill is certain.
      if (child.exitCode === null && child.signalCode === null) await killGroup(identity, "SIGKILL");
      await exited;
      if (ranCode) await killMarked(mark, { root: identity });
      await removeIfAny(dir);
      if (user !== null) await deps.walls.users?.[isOwn ? "release" : "end"](user);
    },
  };
}

/** The first process of the namespaces that a child makes. Undefined: it could not make them. */
async function firstInside(child: ChildProcess): Promise<ProcessIdentity | undefined> {
  const [info] = child.stdio.slice(INFO_FD);
  if (!(info instanceof Readable)) return undefined;
  const pid = firstProcess(await text(info));
  return pid !== null && (await untilMounted(pid)) ? await identifyProcess(pid) : undefined;
}

/** What bubblewrap said of namespaces that it could not make. */
async function whyOf(dir: string, room: string | null): Promise<string> {
  if (room === null) return "";
  const said = await readFile(join(dir, "stderr"), "utf8").catch(() => "");
  const line = said.split("\n").find((one) => one.startsWith("bwrap: "));
  return line === undefined ? "" : ` ${line.slice(0, SAID_CHARS)}`;
}

/** The longest part of a message of bubblewrap that is shown. */
const SAID_CHARS = 300;

/**
 * Bubblewrap ends with 128 and the number of the signal that ended the runner. A runner that chooses such an exit code itself
 * cannot be told apart.
 */
function asSignal(code: number | null, signal: NodeJS.Signals | null): ExitStatus {
  const number = (code ?? 0) - SIGNAL_CODE;
  const found = Object.entries(constants.signals).find(([, one]) => one === number)?.[0];
  return found === undefined ? { code, signal } : { code: null, signal: signalOf(found) };
}

/** Exit codes of signals are above this one. */
const SIGNAL_CODE = 128;

/** Guaranteed by the table of the system's signals, from which the name comes. */
function signalOf(name: string): NodeJS.Signals {
  return name as NodeJS.Signals;
}

/** The channel closes only with the process, and its exit tells that to all callers. */
function ignoreGone(): void {}

/**
 * The beginning of all marks of one state directory's runners. After a restart, a process with such a mark that
 * belongs to no attempt is killed.
 */
export function markPrefix(runnersDir: string): string {
  return `${RUNNER_MARK}=${scopeOf(runnersDir)}.`;
}

function scopeOf(runnersDir: string): string {
  return createHash("sha256").update(runnersDir).digest("hex").slice(0, 16);
}

async function startProcess(
  deps: RunnerDeps,
  args: Start & { readonly id: string; readonly dir: string },
): Promise<{ child: ChildProcess; room: string | null }> {
  const { user, program } = args;
  const { namespaces } = deps.walls;
  await mkdir(args.dir, { recursive: true, mode: 0o700 });
  if (user !== null) await letEnter(user, args.dir);
  const room =
    namespaces === null || args.room === null ? null : (args.room ?? (await makeRoom(args.dir, user)));
  const isWalled = user !== null || room !== null;
  const stdout = await open(join(args.dir, "stdout"), "a", 0o600);
  const stderr = await open(join(args.dir, "stderr"), "a", 0o600);
  try {
    if (user !== null) await letWrite(user, [stdout, stderr]);
    if (user !== null && room !== null) deps.walls.users?.enterNamespaces(user);
    if (program.kind === "python") await compilePackage(packageOf(program, deps.compileCacheDir));
    const plain = runnerCommand(program, { ...deps, user, isWalled });
    const trees = args.trees ?? null;
    const inside =
      room === null ? plain : (namespaces?.wrap(plain, { user, room, trees, tells: true }) ?? plain);
    const { file, argv } = user === null ? inside : deps.walls.as(user, inside);
    const own = user === null ? room && ROOM_ENVIRONMENT : userEnvironment(user);
    const child = spawn(file, argv, {
      // Not its own folder, which is removed once its output files are moved.
      cwd: user?.home ?? deps.runnersDir,
      detached: true,
      env: { ...deps.environment, ...own, [RUNNER_MARK]: args.id },
      stdio: ["ignore", stdout.fd, stderr.fd, "ipc", ...(room === null ? [] : (["pipe"] as const))],
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    // A later error is about a message to a process that is gone. Its exit says more.
    child.on("error", () => {});
    return { child, room };
  } catch (cause) {
    throw new LaunchError(`A runner could not be started: the system refused to start ${nameOf(program)}.`, {
      cause,
    });
  } finally {
    await stdout.close();
    await stderr.close();
  }
}

/** A process of a user enters its runner's folder to have the room there mounted. */
const GROUP_ENTERS = 0o710;
/** Where a process in namespaces, with the worker's user, has its own folders. */
const ROOM_ENVIRONMENT = { HOME: join(INSIDE, ROOM.home), TMPDIR: "/tmp" };

/** The output of a process is root's, so that no flow can replace the file. Programs that open `/dev/stdout` may write. */
const GROUP_WRITES = 0o660;

async function letEnter({ uid }: AttemptUser, dir: string): Promise<void> {
  await lchown(dir, 0, uid);
  // The worker's umask may close what it makes to every other user.
  await chmod(dir, GROUP_ENTERS);
}

async function letWrite({ uid }: AttemptUser, outputs: readonly FileHandle[]): Promise<void> {
  for (const output of outputs) {
    await output.chown(0, uid);
    await output.chmod(GROUP_WRITES);
  }
}

function nameOf(program: RunnerProgram): string {
  return program.kind === "node" ? "a new process" : program.interpreter;
}

/** The exit codes of a launcher that could not start its program. */
const NOT_STARTED = [126, 127];

function listen(
  child: ChildProcess,
  {
    exited,
    program,
    user,
  }: { exited: Promise<ExitStatus>; program: RunnerProgram; user: AttemptUser | null },
) {
  const told = {
    ready: Promise.withResolvers<void>(),
    loaded: Promise.withResolvers<void>(),
    taken: Promise.withResolvers<void>(),
  } satisfies Record<RunnerMessage, PromiseWithResolvers<void>>;
  child.on("message", (changes) => {
    for (const [name, { resolve }] of Object.entries(told)) if (changes === name) resolve();
  });
  void exited.then(({ code, signal }) => {
    const isClosed = user !== null && code !== null && NOT_STARTED.includes(code);
    const error = new LaunchError(
      isClosed
        ? `The users of attempts cannot start ${nameOf(program)}. Let other users read it and enter the folders above it.`
        : `A runner ended before it took its task (${signal ?? `code ${code}`}).`,
    );
    for (const { reject } of Object.values(told)) reject(error);
  });
  // Some callers do not wait for each of them.
  for (const { promise } of Object.values(told)) promise.catch(() => {});
  return { ready: told.ready.promise, loaded: told.loaded.promise, taken: told.taken.promise };
}

async function refuseAfter(ms: number, what: string): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new LaunchError(`A runner did not ${what} in ${ms} ms.`)), ms);
  timer.unref();
  return await promise;
}
