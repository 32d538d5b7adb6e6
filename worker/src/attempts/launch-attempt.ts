import type { FlowEnding } from "@towpath/contract/words";
import type { Interpreter } from "../environments/index.ts";
import { type Gateway, openGateway } from "../gateway/index.ts";
import { failpoint } from "../host/failpoint.ts";
import {
  attemptEnvironment,
  LaunchError,
  type RunnerProcess,
  type RunnerTask,
  type TakenRunner,
} from "../launch/index.ts";
import { removeIfAny } from "../state/atomic-file.ts";
import type { StoredAttempt } from "./attempt-store.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import { type AttemptDeps, instant } from "./deps.ts";
import { contextOf, flowHost, type Running } from "./flow-host.ts";
import { AttemptOutput } from "./output.ts";
import { pathsInside } from "./paths.ts";
import { type Prepared, processOf, programOf, treesOf, userOf } from "./prepare.ts";
import { heldProcess } from "./stop.ts";
import { openStoredValues } from "./store-access.ts";
import { artifactBytesOf } from "./stored-artifacts.ts";
import { letRead } from "./user-folder.ts";

/** An attempt that was launched, and its gateway. */
export interface Launched {
  readonly running: Running;
  readonly gateway: Gateway;
}

/** The attempt was stopped or its start declined before there was a process. */
export class NotStarted extends Error {
  override readonly name = "NotStarted";
}

/** Journals the start and wakes the reports. */
export async function reportStart(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  launcher: "warm" | "cold",
): Promise<void> {
  const spool = await claimed.spool();
  // The start was reported before a restart. The control plane is asked again, because its answer may be lost or
  // have changed. It recognizes the start by the fence.
  if (spool.started !== undefined) spool.ask();
  else await spool.control({ type: "started", at: instant(deps.clock), launcher });
  failpoint("start");
  deps.wake.report();
}

/**
 * Waits until the control plane has accepted the start, for as long as it is away.
 * @throws NotStarted when the start was declined or the attempt is to be stopped.
 */
export async function untilStarted(claimed: ClaimedAttempt): Promise<void> {
  const stopped = new Promise<null>((resolve) => {
    claimed.stopping.signal.addEventListener("abort", () => resolve(null), { once: true });
    if (claimed.stopping.signal.aborted) resolve(null);
  });
  const answer = await Promise.race([claimed.startAnswer.promise, stopped]);
  if (answer?.kind === "declined") throw new NotStarted(`The start was not accepted: ${answer.detail}`);
  if (answer === null || claimed.stop !== null)
    throw new NotStarted("The attempt was stopped before it began.");
}

/** What a gateway is opened with. */
interface GatewayGround {
  readonly claimed: ClaimedAttempt;
  readonly stored: StoredAttempt;
  readonly prepared: Prepared;
  readonly token: string;
  /** Whether it is for the process of a hook, which has output files of its own. @default false */
  readonly hook?: boolean;
}

/** Opens the gateway of an attempt, on the same socket as before a restart. The socket's folder exists. */
export async function openAttemptGateway(deps: AttemptDeps, args: GatewayGround): Promise<Launched> {
  const { claimed, stored, prepared, token, hook = false } = args;
  const spool = await claimed.spool();
  const running: Running = {
    claimed,
    stored,
    prepared,
    spool,
    controlPlane: deps.config.url,
    artifactBytes: artifactBytesOf(deps),
    output: hook ? null : new AttemptOutput(deps, { claimed, spool, prepared }),
    muted: false,
  };
  const gateway = await openGateway(deps, {
    socket: stored.socket,
    token,
    group: claimed.user?.uid ?? null,
    host: flowHost(deps, running),
  });
  return { running, gateway };
}

/**
 * Gives the attempt's task to a runner. A runner that had loaded the code may have ended, or the code may have
 * changed since: then a new runner gets the task.
 * @throws LaunchError when the runner ends before it takes the task; what bringing the code throws.
 */
export async function launch(deps: AttemptDeps, running: Running, taken: TakenRunner): Promise<void> {
  const { claimed, prepared } = running;
  const { cached } = await prepared.code();
  try {
    if (taken.hasCode && !cached) throw new LaunchError("The code was changed after it was loaded.");
    await give(deps, running, taken.runner);
  } catch (error) {
    if (!taken.hasCode || !ranNothing(claimed, error) || claimed.stop !== null) throw error;
    deps.log.warn(
      { attempt: claimed.name, why: String(error) },
      "a runner did not accept its task, so a new runner gets the task",
    );
    await taken.runner.discard();
    await giveToAnother(deps, running);
  }
  deps.breaker.succeeded();
  if (claimed.assignment !== null) deps.refusals.started(claimed.assignment);
  deps.changed();
  // A stop may have come before there was a process.
  claimed.process?.stop();
}

async function giveToAnother(deps: AttemptDeps, running: Running): Promise<void> {
  const { claimed } = running;
  const { room } = claimed.store.files;
  // A room belongs to the claim, with the gateway's socket, so the new runner has the user of the one before.
  const needs = room === null ? {} : { room, user: claimed.user, trees: await treesOf(running.prepared) };
  const { runner } = await deps.runners.take(await programOf(running.prepared), needs);
  try {
    claimed.process = null;
    await Promise.all([claimed.store.takeOutput(runner.dir), changeUser(deps, claimed, runner)]);
    await give(deps, running, runner);
  } catch (error) {
    await runner.discard();
    throw error;
  }
}

/** The runner's user gets the folder of the attempt. The user before is given back. */
async function changeUser(deps: AttemptDeps, claimed: ClaimedAttempt, runner: RunnerProcess): Promise<void> {
  const before = claimed.user === runner.user ? null : claimed.user;
  claimed.user = runner.keepUser();
  await claimed.update({ process: processOf(runner), user: userOf(runner) });
  const { stored, user } = claimed;
  if (stored === null || user === null || runner.room !== null) return;
  if (before !== null) await deps.walls.users?.end(before);
  await Promise.all([claimed.store.giveTo(user, stored.socket), openStoredValues(deps, stored, user)]);
  await letRead(claimed.store.files.parametersFile, user);
  if (before !== null) await deps.walls.users?.release(before);
}

/** Whether the runner ended before it took the task. Then no user code ran, and another attempt costs the run nothing. */
export function ranNothing(claimed: ClaimedAttempt, error: unknown): boolean {
  return error instanceof LaunchError && !claimed.store.isTaken();
}

/** Gives the task to the runner that is stored with the attempt, so that a restart knows every process that may run. */
async function give(deps: AttemptDeps, running: Running, runner: RunnerProcess): Promise<void> {
  const { claimed } = running;
  // The machine may have slept since the start was confirmed. Then the attempt may be another worker's.
  if (running.stored.spec.onDisconnect === "stop" && deps.bootClock.nowMs() >= claimed.leaseEndsAtMs)
    throw new LaunchError("The lease expired before the process could be started.");
  // Not awaited: a restart looks for what the runner itself writes when it takes the task.
  const moved = claimed.launch(deps.bootClock.nowMs());
  failpoint("launch");
  claimed.process = heldProcess(deps, claimed, runner);
  const { prepared } = running;
  // It has its context with its task, and asks for commands a moment later. Until then it must not count as deaf.
  if (prepared.spec.entry.kind !== "command") claimed.board.greeted();
  const isInside = runner.room !== null;
  const [{ dir }, interpreter, packages] = await Promise.all([
    prepared.code(),
    prepared.interpreter(),
    prepared.packages(),
  ]);
  await Promise.all([
    runner.assign(runnerTask(running, { codeDir: dir, interpreter, packages, isInside })),
    moved,
  ]);
  await removeIfAny(runner.dir);
}

/**
 * Gives a runner a flow's hook to run. It is the attempt's process from now on: a stop and a restart deal with it.
 * @throws LaunchError when the runner ends before it takes the task.
 */
export async function launchCleanUp(
  deps: AttemptDeps,
  running: Running,
  { runner, ending }: Pick<TakenRunner, "runner"> & { readonly ending: FlowEnding },
): Promise<void> {
  const { claimed } = running;
  await claimed.update({ process: processOf(runner) });
  claimed.process = heldProcess(deps, claimed, runner);
  const { dir: codeDir } = await running.prepared.code();
  const packages = await running.prepared.packages();
  const isInside = runner.room !== null;
  const task = runnerTask(running, { codeDir, interpreter: null, packages, isInside });
  if (task.kind !== "flow") throw new LaunchError("Only a flow has hooks.");
  await runner.assign({ ...task, ending });
}

/** Of an attempt that runs only a hook: the ending that the hook is for. */
function endingOf({ assignment: { onlyHook } }: Pick<StoredAttempt, "assignment">): FlowEnding | null {
  return onlyHook === undefined ? null : { outcome: "cancelled", cause: "user", reason: onlyHook.reason };
}

/**
 * @param args.interpreter The Python of a command; a flow's runner is a process of it.
 * @param args.isInside Whether the runner is in namespaces.
 */
function runnerTask(
  running: Running,
  args: { codeDir: string; interpreter: Interpreter | null; packages: string | null; isInside: boolean },
): RunnerTask {
  const { claimed, stored, prepared } = running;
  const { codeDir, interpreter, packages } = args;
  // As the process sees them.
  const { socket, ...files } = args.isInside
    ? pathsInside(stored.socket)
    : { ...claimed.store.files, socket: stored.socket };
  const env = attemptEnvironment({
    spec: stored.spec,
    secrets: prepared.secrets,
    gpus: stored.gpus,
    gateway: {
      socket,
      tokenFile: files.tokenFile,
      runId: stored.assignment.runId,
      parametersFile: files.parametersFile,
      workDir: files.work,
      newestLineFile: files.newestLineFile,
    },
  });
  const { entry } = stored.spec;
  const common = { cwd: codeDir, env, takenFile: files.takenFile };
  if (entry.kind === "command" && stored.assignment.onlyHook !== undefined)
    throw new LaunchError("Only a flow has hooks.");
  if (entry.kind === "command")
    return {
      ...common,
      kind: "command",
      argv: entry.argv,
      python: interpreter?.path ?? null,
      packages,
      exitFile: files.exitFile,
    };
  const { tokenFile, newestLineFile } = files;
  const address = { socket, tokenFile, newestLineFile };
  const context = contextOf(running);
  const flow = {
    module: entry.module,
    exportName: entry.kind === "python" ? entry.function : entry.export,
    packages,
    handlesFile: files.handlesFile,
    ending: endingOf(stored),
  };
  return { ...common, kind: "flow", address, context, ...flow };
}
