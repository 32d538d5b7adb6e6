import { isFinalRunState, Problem, uuidv7 } from "@towpath/contract";
import {
  cleanText,
  type Deps,
  type Tx,
  undoUnless,
  wakeWorkerAfterCommit,
  wentBackAt,
} from "../../kernel/index.ts";
import { leaveWaitList, returnSlots } from "../admit/admission.ts";
import { cancelJobs, closeWaits, releaseDependents } from "../dependents/release.ts";
import { existingRun } from "../history/find.ts";
import { moveAttempt, moveRun } from "../moves/apply.ts";
import { findActiveAttemptId, lockActiveAttempt, lockRun } from "../moves/locks.ts";
import { hasEnded, notAllowed, runCan } from "../moves/state.ts";
import type { AttemptRow, RunRow } from "../table.ts";

/** How often a cancellation tries again when the run's attempt changed while it waited for locks. */
export const CANCEL_TRIES_MAX = 5;

/**
 * How long the hook of a run that was cancelled without a process waits for a worker, milliseconds. Then the run ends without
 * it: a waiting hook must not keep a run open for long.
 */
export const HOOK_WAIT_MS = 60_000;

/** What to cancel. */
export interface Cancellation {
  readonly workspaceId: string;
  readonly runId: string;
  readonly reason: string;
  /** The cause of the run. `collision`: another run of its deployment takes its slot. @default "user" */
  readonly cause?: "user" | "collision";
}

/**
 * Cancels a run within a transaction, as `cancelRun` does. A run with a process keeps the cause until it has ended.
 * @returns False if the attempt had changed when the run was locked: nothing was changed.
 */
export async function cancelIn(tx: Tx, deps: Deps, args: Cancellation): Promise<boolean> {
  const { workspaceId, runId, cause = "user" } = args;
  const held = await lockActiveAttempt(tx, args);
  const live = await lockRun(tx, args);
  if (live === null) {
    refuseUnlessAsked(await existingRun(tx, args));
    return true;
  }
  if (isFinalRunState(live.state)) {
    refuseUnlessAsked(live);
    return true;
  }
  if (live.state === "cancelling") return true;
  const waits = runCan(live.state, "cancel");
  if ((await findActiveAttemptId(tx, args)) !== (held?.id ?? null)) return false;
  if (waits && held !== null) returnSlots(tx, deps, held);
  if (live.state === "blocked") leaveWaitList(tx, deps, live);
  const by = waits ? "cancel" : "interrupt";
  if (held !== null)
    await moveAttempt(tx, deps.clock, { workspaceId, id: held.id, by, cause: waits ? "user" : null });
  const keepsOpen = async () => (await cancelJobs(tx, deps, { workspaceId, runIds: [runId] })).has(runId);
  const isKept = waits && live.hasDependents && (await keepsOpen());
  // Only a run that has had an attempt may have a hook.
  const hooks = waits && live.cancelHook;
  const ends = waits && !isKept && !hooks;
  const row = await moveRun(tx, deps.clock, {
    workspaceId,
    id: runId,
    by,
    to: ends ? "cancelled" : "cancelling",
    cause: ends ? cause : null,
    cancelReason: cleanText(args.reason),
    cancelCause: cause,
    ...(hooks && { attempt: { id: uuidv7(deps.clock.nowMs()), limited: false, hookMs: HOOK_WAIT_MS } }),
  });
  if (hasEnded(row)) await releaseDependents(tx, deps, [row]);
  // The flow does not run again, so nobody needs to answer its questions.
  else if (waits && live.hasDependents) await closeWaits(tx, deps, { workspaceId, runIds: [runId] });
  wakeWorkerAfterCommit(tx, held?.workerId ?? null);
  return true;
}

/**
 * Cancels a run within a larger transaction. A run that has ended meanwhile stays unchanged. If the run's attempt
 * changed while this waited for locks, it releases them and tries again.
 * @returns False if the run changed each time: it is not cancelled.
 */
export async function cancelWithin(tx: Tx, deps: Deps, args: Cancellation): Promise<boolean> {
  for (let tried = 1; tried <= CANCEL_TRIES_MAX; tried++)
    if (await undoUnless(tx, () => cancelIn(tx, deps, args).catch(trueIfEnded))) return true;
  return false;
}

function trueIfEnded(failure: unknown): true {
  if (failure instanceof Problem && failure.code === "run-transition-not-allowed") return true;
  throw failure;
}

/** As `cancelWithin`. @throws Problem `unavailable` if the run is not cancelled. */
export async function mustCancel(tx: Tx, deps: Deps, args: Cancellation): Promise<void> {
  if (!(await cancelWithin(tx, deps, args))) throw changesTooFast(args.runId);
}

/** The refusal of a cancellation that found another attempt each time. */
export function changesTooFast(runId: string): Problem {
  return new Problem("unavailable", `Run ${runId} is changing too fast; try again.`);
}

/**
 * Cancels a run whose worker obeyed a cancellation that the database forgot when it went back. The caller holds the
 * lock of the run's attempt.
 * @returns the attempt after the change
 */
export async function repeatCancel(tx: Tx, deps: Deps, held: AttemptRow): Promise<AttemptRow> {
  const { workspaceId, id, runId } = held;
  if (held.state !== "running") return held;
  const wentBack = await wentBackAt(tx);
  if (wentBack === null || held.createdAt >= wentBack) return held;
  const { state } = await moveAttempt(tx, deps.clock, { workspaceId, id, by: "interrupt" });
  const cancelReason =
    "Somebody cancelled it. The name and the reason were lost when the database was restored.";
  await moveRun(tx, deps.clock, { workspaceId, id: runId, by: "interrupt", cancelReason });
  return { ...held, state };
}

function refuseUnlessAsked(row: RunRow): void {
  if (row.cancelRequestedAt === null) throw notAllowed("run", row.id, "cancel");
}
