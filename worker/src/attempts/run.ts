import { setImmediate as nextTurn } from "node:timers/promises";
import type { Assignment, Cause } from "@towpath/contract";
import { CodeError } from "../code/index.ts";
import { DoesNotFit } from "../compute/index.ts";
import { EnvironmentError } from "../environments/index.ts";
import { failpoint } from "../host/failpoint.ts";
import { killMarked } from "../host/index.ts";
import { JournalError } from "../journal/index.ts";
import { type AheadVersion, LaunchError, STOPS, type TakenRunner } from "../launch/index.ts";
import { isPassing } from "../protocol/index.ts";
import { NoWorkspaceKey } from "../sealing/index.ts";
import { SecretsMissing, SecretUnavailable } from "../secrets/index.ts";
import { NoLedger, Refusal } from "../trust/index.ts";
import { NoUserFree } from "../walls/index.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import { noteOnlyHook } from "./clean-up.ts";
import type { AttemptDeps } from "./deps.ts";
import {
  type Launched,
  launch,
  NotStarted,
  openAttemptGateway,
  ranNothing,
  reportStart,
  untilStarted,
} from "./launch-attempt.ts";
import { IllegalMove, isOver, type Phase } from "./phases.ts";
import {
  aheadVersion,
  firstStored,
  type Prepared,
  parametersOf,
  prepareAttempt,
  programOf,
  treesOf,
} from "./prepare.ts";
import { adopt, markOf } from "./resume.ts";
import { openStoredValues, StoreUnknown } from "./store-access.ts";
import { supervise } from "./supervise.ts";

/** One attempt on its way through the phases. */
interface Course {
  readonly deps: AttemptDeps;
  readonly claimed: ClaimedAttempt;
  /** What one phase hands on to the next; nothing after a restart. */
  readonly made: {
    ready?: { prepared: Prepared; ahead: AheadVersion | null; token: string };
    taken?: TakenRunner;
    launched?: Launched;
  };
}

/** The work of one phase. It makes the move out of the phase. */
interface Step {
  readonly work: (course: Course) => Promise<void>;
  /** What happens if the work fails. It makes the move, or throws to let the attempt go. */
  readonly failed: (course: Course, error: unknown) => Promise<void>;
}

const letGo = async (_: Course, error: unknown) => {
  throw error;
};

/** What the worker does in each phase. `phases.ts` has the moves, what is on disk, and where a restart goes on. */
const STEPS: Record<Phase, Step> = {
  preparing: { work: prepare, failed: endUnlaunched },
  confirming: { work: confirmAndLaunch, failed: endUnlaunched },
  launched: { work: follow, failed: endUnfollowed },
  closing: { work: reportAll, failed: letGo },
  closed: { work: ({ claimed }) => claimed.dispose(), failed: letGo },
  abandoned: { work: ({ claimed }) => claimed.dispose(), failed: letGo },
};

/**
 * Takes an attempt from its present phase to its end. Never rejects. If an attempt cannot go on, its process is
 * killed, and the control plane learns from the next poll that it is lost.
 */
export async function runAttempt(deps: AttemptDeps, claimed: ClaimedAttempt): Promise<void> {
  const course: Course = { deps, claimed, made: {} };
  try {
    while (!isOver(claimed.phase)) await takeStep(course);
    await takeStep(course);
  } catch (error) {
    deps.log.error({ attempt: claimed.name, error: describe(error) }, "the worker gives up an attempt");
    // After a restart the process is known from the attempt's file before anything else of it is open.
    const mark = claimed.process?.mark ?? (claimed.stored === null ? "" : markOf(deps, claimed.stored));
    if (mark !== "") await killMarked(mark, { sleep: deps.sleep }).catch(() => {});
  }
}

async function takeStep(course: Course): Promise<void> {
  const { phase } = course.claimed;
  const { work, failed } = STEPS[phase];
  try {
    failpoint(phase);
    await work(course);
  } catch (error) {
    await failed(course, error);
  }
  if (course.claimed.phase === phase && !isOver(phase)) throw new IllegalMove(`An attempt stays ${phase}.`);
}

async function prepare({ deps, claimed, made }: Course): Promise<void> {
  const { assignment } = claimed;
  if (assignment === null) throw new IllegalMove("An attempt without an assignment is only reported.");
  if (claimed.giveBack !== null) return await claimed.release(claimed.giveBack);
  // The journal opens while the assignment is verified.
  const preparing = claimed.declined === null ? prepareAttempt(deps, claimed, assignment) : null;
  preparing?.catch(() => {});
  if (await endsAsJournaled(claimed)) return;
  if (preparing === null) throw new NotStarted("The start was declined before the restart.");
  const prepared = await preparing;
  // No run follows one that runs only a hook, so no runner is kept for it.
  const isHook = assignment.onlyHook !== undefined;
  const ahead = isHook ? null : aheadVersion(deps, claimed, { assignment, prepared });
  made.taken = await takeRunner(deps, { ahead, prepared });
  claimed.user = made.taken.runner.keepUser();
  const { token } = await claimed.confirm(
    firstStored(claimed, { assignment, prepared, runner: made.taken.runner }),
    made.taken.runner.room,
  );
  deps.log.debug({ attempt: claimed.name }, "confirming a start");
  made.ready = { prepared, ahead, token };
}

/** A runner that has loaded the code is taken at once. It gets its task only after the code was checked. */
async function takeRunner(
  { runners }: AttemptDeps,
  { ahead, prepared }: { ahead: AheadVersion | null; prepared: Prepared },
): Promise<TakenRunner> {
  const loaded = ahead && runners.takeLoaded(ahead);
  if (loaded) return loaded;
  return await runners.take(await programOf(prepared), { trees: await treesOf(prepared) });
}

/** Whether an earlier process of this worker has journaled the end of this claim. Then that end is reported. */
async function endsAsJournaled(claimed: ClaimedAttempt): Promise<boolean> {
  const { terminated } = await claimed.spool();
  if (terminated) await claimed.move("close");
  return terminated;
}

async function confirmAndLaunch({ deps, claimed, made }: Course): Promise<void> {
  const { ready, taken } = made;
  const { stored } = claimed;
  if (!ready || !taken || !stored) throw new IllegalMove("An attempt was confirmed unprepared.");
  const { prepared, ahead, token } = ready;
  await reportStart(deps, claimed, taken.launcher);
  // The rest is done while the control plane confirms: one turn later, when the report has left.
  await nextTurn();
  prepared.code().catch(() => {});
  const parameters = parametersOf(prepared);
  const filling = fillFolder(deps, claimed, { parameters, runnerDir: taken.runner.dir });
  filling.catch(() => {});
  made.launched = await openAttemptGateway(deps, { claimed, stored, prepared, token });
  await Promise.all([filling, untilStarted(claimed)]);
  if (claimed.assignment?.onlyHook !== undefined) await noteOnlyHook(claimed, prepared.spec.entry.kind);
  await launch(deps, made.launched.running, taken);
  if (ahead) deps.runners.expect(ahead);
}

/** Makes everything that the process finds in the claim's folder and in its store. */
async function fillFolder(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  args: { parameters: Assignment["parameters"]; runnerDir: string },
): Promise<void> {
  const { stored, user } = claimed;
  const opening = stored && user && openStoredValues(deps, stored, user);
  await Promise.all([claimed.store.fill({ ...args, user }), opening]);
}

async function follow({ deps, claimed, made }: Course): Promise<void> {
  if (!made.launched) {
    if (!claimed.stored) throw new IllegalMove("An attempt was launched that is not stored.");
    made.launched = await adopt(deps, claimed, claimed.stored);
  }
  if (!claimed.process) throw new IllegalMove("An attempt was launched without a process.");
  const { running, gateway } = made.launched;
  await supervise(deps, running, { process: claimed.process, gateway });
}

/** A failure after the end is journaled delays nothing: the end is reported. */
async function endUnfollowed({ deps, claimed, made: { launched } }: Course, error: unknown): Promise<void> {
  if (!launched) throw error;
  await claimed.process?.exited;
  if (!launched.running.spool.terminated) throw error;
  deps.log.error({ attempt: claimed.name, error: describe(error) }, "an attempt could not be closed");
  if (claimed.phase === "launched") await claimed.move("close");
}

async function reportAll({ deps, claimed }: Course): Promise<void> {
  const spool = await claimed.spool();
  // The end may have been acknowledged before a restart.
  if (spool.settled) await claimed.settleIfDone();
  else deps.wake.report();
  await claimed.over;
}

/**
 * The pauses before an end is journaled again, milliseconds: a full disk can have room again. After the last one
 * the worker gives up the attempt, and the control plane gives it to a worker again.
 */
const JOURNAL_AGAIN_MS = [500, 2_000, 5_000, 15_000] as const;

/** Journals why an attempt was not launched. */
async function endUnlaunched(
  { deps, claimed, made: { launched, taken } }: Course,
  error: unknown,
): Promise<void> {
  await launched?.gateway.close();
  await taken?.runner.discard();
  for (const againMs of [...JOURNAL_AGAIN_MS, null]) {
    try {
      if (claimed.stop === "abandoned") return await claimed.move("abandon");
      if (againMs !== JOURNAL_AGAIN_MS[0] && (await endsAsJournaled(claimed))) return;
      return await journalUnlaunched(deps, claimed, error);
    } catch (failure) {
      deps.log.error(
        { attempt: claimed.name, error: describe(failure), againMs },
        "an attempt's end could not be written to the journal",
      );
      deps.breaker.failed(
        "The worker's state directory cannot be written. Check its disk's free space and its permissions.",
      );
      // A stop ends the pause.
      if (againMs !== null) await deps.sleep(againMs, claimed.stopping.signal).catch(() => undefined);
    }
  }
  await claimed.move("abandon");
}

async function journalUnlaunched(deps: AttemptDeps, claimed: ClaimedAttempt, error: unknown): Promise<void> {
  const { stop } = claimed;
  const started = (await claimed.spool()).started !== undefined;
  // The answer of the control plane counts, whatever was wanted since.
  if (claimed.declined !== null) {
    const message = `The start was not accepted: ${claimed.declined}`;
    await close(claimed, { outcome: "cancelled", cause: "user", message });
  } else if (error instanceof Refusal && error.mayPass) {
    // Otherwise an idle worker without a ledger would claim each run before those that can start it.
    if (error instanceof NoLedger) deps.breaker.failed(error.openMessage);
    deps.log.warn({ attempt: claimed.name, code: error.code }, "an assignment must wait");
    await claimed.release(error.message);
  } else if (error instanceof Refusal) {
    // Refusals of one deployment say little about the worker. Those of several in a row may be its own fault.
    const { assignment } = claimed;
    const isCounted = assignment !== null && !error.isOfOneRun;
    const isFirst = !isCounted || deps.refusals.refused(assignment, error.openMessage);
    if (isFirst && !error.isOfOneDeployment) deps.breaker.failed(error.openMessage);
    deps.log.warn({ attempt: claimed.name, code: error.code }, "an assignment was refused");
    await close(claimed, { outcome: "refused", cause: error.endCause, message: error.message });
  } else if (stop === "user") {
    await close(claimed, { outcome: "cancelled", cause: "user", message: STOPS.user.sentence });
  } else if (stop !== null && started) {
    await close(claimed, { outcome: "failed", cause: STOPS[stop].cause, message: STOPS[stop].sentence });
  } else if (stop !== null) {
    await claimed.release(STOPS[stop].sentence);
  } else if (error instanceof NotStarted) {
    await close(claimed, { outcome: "cancelled", cause: "user", message: error.message });
  } else {
    const message = releaseReason(error);
    deps.log.error({ attempt: claimed.name, error: describe(error) }, "an attempt could not be started");
    if (!isOfOneDeployment(error)) deps.breaker.failed(message);
    if (!started)
      await claimed.release(message, error instanceof SecretsMissing ? "secret-missing" : undefined);
    else
      await close(claimed, {
        outcome: "failed",
        cause: ranNothing(claimed, error) ? "evicted" : "error",
        message,
      });
  }
}

async function close(
  claimed: ClaimedAttempt,
  args: { outcome: "refused" | "cancelled" | "failed"; cause: Cause; message: string },
): Promise<void> {
  const error = { name: "NotStarted", message: args.message };
  await claimed.closeWith({ outcome: args.outcome, cause: args.cause, error });
}

/**
 * Whether the failure belongs to this deployment, such as its store or its registry. The control plane then
 * delays that attempt, and the worker's other deployments go on. A cache that cannot be written and a missing
 * git belong to the worker.
 */
function isOfOneDeployment(error: unknown): boolean {
  if (error instanceof NoWorkspaceKey) return error.hasOthers;
  if (error instanceof SecretUnavailable || error instanceof StoreUnknown || error instanceof DoesNotFit)
    return true;
  if (error instanceof EnvironmentError) return error.code !== "disk-full";
  return error instanceof CodeError && error.code !== "cache-unwritable" && error.code !== "git-missing";
}

/** The reason that the control plane gets. Only messages written for it are passed on. */
function releaseReason(error: unknown): string {
  const shown =
    error instanceof CodeError ||
    error instanceof EnvironmentError ||
    error instanceof NoWorkspaceKey ||
    error instanceof SecretUnavailable ||
    error instanceof StoreUnknown ||
    error instanceof DoesNotFit ||
    error instanceof LaunchError ||
    error instanceof NoUserFree ||
    error instanceof JournalError;
  if (shown) return error.message;
  if (isPassing(error)) return "The worker lost the control plane while it prepared the attempt.";
  return "The worker could not prepare the attempt. Its log says why.";
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const more = error instanceof CodeError && error.output ? ` (${error.output})` : "";
  return `${error.name}: ${error.message}${more}`;
}
