import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { RunnerCode } from "./runner-message.ts";
import { type RunnerDeps, type RunnerProcess, spawnRunner } from "./runner-process.ts";
import type { RunnerProgram } from "./runner-program.ts";

/** The most that a process may print before it has a task, bytes. It becomes part of the log of the next run. */
const OUTPUT_BYTES = 1024 * 1024;

/** A version of a deployment whose code may be loaded before there is an attempt of it. */
export interface AheadVersion {
  readonly deployment: string;
  readonly version: number;
  /** Tells signed payloads of one deployment and version apart. */
  readonly key: string;
  /** No attempt of it may start after this, on the wall clock, milliseconds. Null: no limit. */
  readonly expiresAtMs: number | null;
  /** Its module, and the part of its environment that is the same for every attempt. */
  readonly code: Omit<RunnerCode, "cwd" | "packages">;
  /** Brings its code and program, unchanged since they were fetched, and keeps them until they are released. */
  bring(signal: AbortSignal): Promise<BroughtVersion>;
}

/** The code of a version in a folder, and the program that runs it. */
export interface BroughtVersion {
  readonly dir: string;
  /** The folder of the environment that was built for it, or of its npm packages. Null: it has none. */
  readonly environmentDir: string | null;
  readonly program: RunnerProgram;
  release(): Promise<void>;
}

/** A runner that has loaded a version's code and keeps it in the cache. */
export interface LoadedRunner {
  readonly runner: RunnerProcess;
  /** The folders of its code and of its environment. */
  readonly dirs: readonly string[];
  release(): Promise<void>;
}

/**
 * Starts a runner and makes it load a version's code.
 * @throws LaunchError when it ends first; what bringing the code throws; the signal's reason.
 */
export async function startLoaded(
  deps: RunnerDeps,
  version: AheadVersion,
  signal: AbortSignal,
): Promise<LoadedRunner> {
  const { dir, environmentDir, program, release } = await version.bring(signal);
  let runner: RunnerProcess | undefined;
  try {
    const trees = environmentDir === null ? [dir] : [dir, environmentDir];
    runner = await spawnRunner(deps, program, { trees });
    await untilAborted(runner.ready, signal);
    await untilAborted(
      runner.load({ ...version.code, cwd: dir, packages: packagesIn({ program, environmentDir }) }),
      signal,
    );
    return { runner, dirs: environmentDir === null ? [dir] : [dir, environmentDir], release };
  } catch (error) {
    await runner?.discard();
    await release();
    throw error;
  }
}

/** The folder of the npm packages of a version. The environment of Python is its program's. */
export function packagesIn({
  program,
  environmentDir,
}: Pick<BroughtVersion, "program" | "environmentDir">): string | null {
  return program.kind === "node" ? environmentDir : null;
}

/** Ends a runner that no attempt took. */
export async function discardLoaded({ runner, release }: LoadedRunner): Promise<void> {
  await runner.discard();
  await release();
}

/** Whether it has printed more than a waiting process should. */
export async function isTalkative({ runner }: LoadedRunner): Promise<boolean> {
  const sizes = await Promise.all(
    ["stdout", "stderr"].map((name) =>
      stat(join(runner.dir, name))
        .then(({ size }) => size)
        .catch(() => 0),
    ),
  );
  return sizes.some((size) => size > OUTPUT_BYTES);
}

async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
