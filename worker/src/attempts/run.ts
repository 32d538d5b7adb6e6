import { setImmediate as nextTurn } from "node:timers/promises";
import type { Assignment, Cause } from "@towpath/contract";
import { CodeError } from "../code/index.ts";
import { DoesNotFit } from "../compute/index.ts";
import { JournalError } from "../journal/index.ts";
import { type AheadVersion, LaunchError, STOPS, type TakenRunner } from "../launch/index.ts";
import { isPassing } from "../protocol/index.ts";
import { SecretUnavailable } from "../secrets/index.ts";
import { Refusal } from "../trust/index.ts";
import { aheadVersion } from "./ahead.ts";
import { fillFolder, makeFolder } from "./attempt-folder.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
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
import { type Prepared, prepareAttempt } from "./prepare.ts";
import { StoreUnknown } from "./store-access.ts";
import { supervise } from "./supervise.ts";

/**
 * Takes an assignment from its verification to its end in the journal. Never rejects: whatever goes wrong before user code
 * runs is journaled as a refusal or a release.
 */
export async function runAttempt(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  assignment: Assignment,
): Promise<void> {
  let taken: TakenRunner | undefined;
  let launched: Launched | undefined;
  try {
    // The journal opens while the assignment is verified and its code found.
    const preparing = prepareAttempt(deps, claimed, assignment);
    preparing.catch(() => {});
    if (await saidAllBefore(deps, claimed)) return;
    const prepared = await preparing;
    const ahead = aheadVersion(deps, claimed, { assignment, prepared });
    taken = await takeRunner(deps, { ahead, prepared });
    const { runner, launcher } = taken;
    const ground = { assignment, prepared, runner };
    const place = await makeFolder(deps, claimed, ground);
    await reportStart(deps, claimed, launcher);
    // What only the launch needs is done while the control plane confirms: a turn later, when the report has left.
    await nextTurn();
    prepared.code().catch(() => {});
    const filling = fillFolder(claimed, ground);
    filling.catch(() => {});
    launched = await openAttemptGateway(deps, { claimed, prepared, ...place });
    await Promise.all([filling, untilStarted(claimed)]);
    await launch(deps, launched.running, taken);
    if (ahead) deps.runners.expect(ahead);
  } catch (error) {
    await launched?.gateway.close();
    await taken?.runner.discard();
    await endUnlaunched(deps, claimed, error);
    return;
  }
  await follow(deps, claimed, launched);
}

/** One that has loaded the code need not wait until that has been looked at: it gets its task after that. */
async function takeRunner(
  { runners }: AttemptDeps,
  { ahead, prepared }: { ahead: AheadVersion | null; prepared: Prepared },
): Promise<TakenRunner> {
  const loaded = ahead && runners.takeLoaded(ahead);
  if (loaded) return loaded;
  await prepared.code();
  return await runners.take();
}

/**
 * Whether an earlier process of this worker has already journaled how this claim ended, before it was killed: then that is
 * all there is to say, and it is reported now.
 */
async function saidAllBefore(deps: AttemptDeps, claimed: ClaimedAttempt): Promise<boolean> {
  const spool = await claimed.spool();
  if (!spool.terminated) return false;
  await claimed.moveOn("close");
  if (spool.settled) await claimed.settleIfDone();
  else deps.events.pending();
  return true;
}

/**
 * Supervises a launched attempt. If its end cannot be journaled at all, the claim is let go once its process is gone: the control
 * plane then learns at the next poll that it is lost, instead of waiting for an end that nobody will report. What goes wrong
 * once the end is journaled holds nothing up: it is reported.
 */
export async function follow(deps: AttemptDeps, claimed: ClaimedAttempt, launched: Launched): Promise<void> {
  if (!claimed.process) return;
  try {
    await supervise(deps, launched.running, { process: claimed.process, gateway: launched.gateway });
  } catch (error) {
    const { terminated } = launched.running.spool;
    const what = terminated ? "an attempt could not be closed" : "an attempt's end could not be journaled";
    deps.log.error({ attempt: claimed.name, error: describe(error) }, what);
    await claimed.process.exited;
    if (!terminated) return deps.events.gone(claimed.name);
    if (claimed.phase === "launched") await claimed.moveOn("close");
    deps.events.pending();
  }
}

/**
 * How long to wait before an end that could not be journaled is tried again, milliseconds: a disk that is full is not full
 * for ever. After the last, the claim is let go; the control plane gives it anew, here or elsewhere.
 */
const JOURNAL_AGAIN_MS = [500, 2_000, 5_000, 15_000] as const;

async function endUnlaunched(deps: AttemptDeps, claimed: ClaimedAttempt, error: unknown): Promise<void> {
  for (const againMs of [...JOURNAL_AGAIN_MS, null]) {
    try {
      if (claimed.stop === "abandoned") return await letGo(claimed);
      if (againMs !== JOURNAL_AGAIN_MS[0] && (await saidAllBefore(deps, claimed))) return;
      return await journalUnlaunched(deps, claimed, error);
    } catch (failure) {
      deps.log.error(
        { attempt: claimed.name, error: describe(failure), againMs },
        "an attempt's end could not be journaled",
      );
      deps.events.failedBeforeLaunch(
        "The worker's state directory cannot be written; look at its disk's free space and permissions.",
      );
      // Whoever stops the attempt meanwhile is not kept waiting.
      if (againMs !== null) await deps.sleep(againMs, claimed.stopping.signal).catch(() => undefined);
    }
  }
  await letGo(claimed);
}

/** Nobody says anything of the claim any more; it no longer takes a place. */
async function letGo(claimed: ClaimedAttempt): Promise<void> {
  await claimed.moveOn("abandon").catch(() => undefined);
  await claimed.dispose();
}

async function journalUnlaunched(deps: AttemptDeps, claimed: ClaimedAttempt, error: unknown): Promise<void> {
  const { stop } = claimed;
  const started = (await claimed.spool()).started !== undefined;
  if (error instanceof Refusal) {
    // Parameters are the caller's fault, and say nothing about this worker.
    if (error.code !== "invalid-parameters") deps.events.failedBeforeLaunch(error.message);
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
    if (!isOfOneDeployment(error)) deps.events.failedBeforeLaunch(message);
    if (!started) await claimed.release(message);
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
 * Whether the trouble belongs to what this attempt asked for, such as its secret or its registry: the control plane backs that
 * attempt off by itself, and this worker's other deployments go on. A cache that cannot be written and a missing git are
 * the worker's own.
 */
function isOfOneDeployment(error: unknown): boolean {
  if (error instanceof SecretUnavailable || error instanceof StoreUnknown || error instanceof DoesNotFit)
    return true;
  return error instanceof CodeError && error.code !== "cache-unwritable" && error.code !== "git-missing";
}

/** What the control plane is told: only sentences that are made to be shown. */
function releaseReason(error: unknown): string {
  const shown =
    error instanceof CodeError ||
    error instanceof SecretUnavailable ||
    error instanceof StoreUnknown ||
    error instanceof DoesNotFit ||
    error instanceof LaunchError ||
    error instanceof JournalError;
  if (shown) return error.message;
  if (isPassing(error)) return "The worker lost the control plane while it prepared the attempt.";
  return "The worker could not prepare the attempt; its own log says why.";
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const more = error instanceof CodeError && error.output ? ` (${error.output})` : "";
  return `${error.name}: ${error.message}${more}`;
}
