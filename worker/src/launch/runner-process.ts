import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { identifyProcess, type ProcessIdentity } from "@towpath/contract/process";
import { uuidv7 } from "@towpath/contract/words";
import { type Clock, killGroup, killMarked } from "../host/index.ts";
import { removeIfAny } from "../state/atomic-file.ts";
import {
  LaunchError,
  RUNNER_MARK,
  type RunnerCode,
  type RunnerLoad,
  type RunnerMessage,
  type RunnerTask,
} from "./runner-message.ts";

/** Beside this module: TypeScript as it is here, JavaScript as it is published. */
const RUNNER_FILE = fileURLToPath(new URL(`./runner${extname(import.meta.url)}`, import.meta.url));
/**
 * V8 lets the space for what is new grow to three times 32 MiB in any process that lives long enough, whatever it needs: a run of 100,000 small
 * tasks took twice the memory of one of 1,000. With 8 MiB it takes 1.2 times as much, and parsing, grouping and sorting 800,000 rows
 * no more time (0.64 to 0.66 s of a core beside 0.71 to 0.74) and 203 instead of 335 MB.
 */
const RUNNER_FLAGS = ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=8"];
/** How long a runner may take to take its task: it has been started, so this is about a machine that is overloaded. */
const TAKE_TIMEOUT_MS = 60_000;
/** How long code may take to be loaded before there is a task. Longer is left to an attempt, whose time limit is its own. */
const LOAD_TIMEOUT_MS = 60_000;

/** How a process ended. Both null: it is gone, and nobody could see how. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A runner that was started by this worker. */
export interface RunnerProcess {
  readonly identity: ProcessIdentity;
  /** `NAME=value` in the environment of the runner and of all that it starts. */
  readonly mark: string;
  /** Where its output goes until an attempt takes the files over. */
  readonly dir: string;
  /** Resolves when its imports are done; rejects if it ends first. */
  readonly ready: Promise<void>;
  readonly exited: Promise<ExitStatus>;
  /** Has it load the code that its task will be of. @throws LaunchError if it ends, or has not loaded it in a minute. */
  load(code: RunnerCode): Promise<void>;
  /** Gives it its one task. @throws LaunchError if it ends before it takes it. */
  assign(task: RunnerTask): Promise<void>;
  /** Says something to a runner that has a task which is to be talked about. */
  send(message: object): void;
  /** Hears what such a runner says. */
  hear(listener: (message: unknown) => void): void;
  /** Ends a runner that has no task, or was slow to take one, with all that it may have started. */
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
}

/**
 * Starts an idle runner at the head of a process group of its own, with stdout and stderr going to files.
 * It knows nothing yet, and ends by itself if its worker does.
 * @throws LaunchError when the system cannot start it.
 */
export async function spawnRunner(deps: RunnerDeps): Promise<RunnerProcess> {
  const id = `${scopeOf(deps.runnersDir)}.${uuidv7(deps.clock.nowMs())}`;
  const dir = join(deps.runnersDir, id);
  const child = await startProcess(deps, { id, dir });
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const { ready, loaded, taken } = listen(child, exited);
  const identity = child.pid === undefined ? undefined : await identifyProcess(child.pid);
  const mark = `${RUNNER_MARK}=${id}`;
  let ranCode = false;
  if (!identity) throw new LaunchError("A runner ended as soon as it was started.");
  return {
    identity,
    mark,
    dir,
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
    async discard() {
      // It has nothing to lose, and this way it is sure to be gone.
      if (child.exitCode === null && child.signalCode === null) await killGroup(identity, "SIGKILL");
      await exited;
      if (ranCode) await killMarked(mark);
      await removeIfAny(dir);
    },
  };
}

/** The channel is gone only if the process is, which whoever waits for an answer learns by its end. */
function ignoreGone(): void {}

/**
 * What all marks of one state directory's runners begin with: after a restart, a process with such a mark that no attempt
 * accounts for is one that was left behind.
 */
export function markPrefix(runnersDir: string): string {
  return `${RUNNER_MARK}=${scopeOf(runnersDir)}.`;
}

function scopeOf(runnersDir: string): string {
  return createHash("sha256").update(runnersDir).digest("hex").slice(0, 16);
}

async function startProcess(deps: RunnerDeps, args: { id: string; dir: string }): Promise<ChildProcess> {
  await mkdir(args.dir, { recursive: true, mode: 0o700 });
  const stdout = await open(join(args.dir, "stdout"), "a", 0o600);
  const stderr = await open(join(args.dir, "stderr"), "a", 0o600);
  try {
    const child = spawn(process.execPath, [...RUNNER_FLAGS, RUNNER_FILE, deps.compileCacheDir], {
      // Not its own folder, which goes once its output files have moved on.
      cwd: deps.runnersDir,
      detached: true,
      env: { ...deps.environment, [RUNNER_MARK]: args.id },
      stdio: ["ignore", stdout.fd, stderr.fd, "ipc"],
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    // A later error event is about a message to a process that has gone, which its exit tells better.
    child.on("error", () => {});
    return child;
  } catch (cause) {
    throw new LaunchError("A runner could not be started: the system refused a new process.", { cause });
  } finally {
    await stdout.close();
    await stderr.close();
  }
}

function listen(child: ChildProcess, exited: Promise<ExitStatus>) {
  const told = {
    ready: Promise.withResolvers<void>(),
    loaded: Promise.withResolvers<void>(),
    taken: Promise.withResolvers<void>(),
  } satisfies Record<RunnerMessage, PromiseWithResolvers<void>>;
  child.on("message", (changes) => {
    for (const [name, { resolve }] of Object.entries(told)) if (changes === name) resolve();
  });
  void exited.then(({ code, signal }) => {
    const error = new LaunchError(`A runner ended before it took its task (${signal ?? `code ${code}`}).`);
    for (const { reject } of Object.values(told)) reject(error);
  });
  // Each is waited for by some callers only.
  for (const { promise } of Object.values(told)) promise.catch(() => {});
  return { ready: told.ready.promise, loaded: told.loaded.promise, taken: told.taken.promise };
}

async function refuseAfter(ms: number, what: string): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new LaunchError(`A runner did not ${what} in ${ms} ms.`)), ms);
  timer.unref();
  return await promise;
}
