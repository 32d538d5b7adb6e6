import {
  type AttemptState,
  type AttemptTransition,
  type Cause,
  type ControlRecord,
  FREE_CAUSES,
  LAST_CAUSES,
  type RunState,
  type RunTransition,
  type Spec,
  type TaskRunTransition,
} from "@towpath/contract";

/** How an attempt ended: as its worker reports it, or `lost` when nobody does. */
export type Outcome = Extract<ControlRecord, { type: "ended" }>["outcome"] | "lost";

/** What an ending is decided from. */
export interface Ending {
  readonly state: AttemptState;
  readonly outcome: Outcome;
  /** The cause that the worker gave. */
  readonly cause: Cause | null;
  readonly retry: Spec["retry"];
  /** Retries that the run has spent already. */
  readonly spent: number;
  /** Of the waits that a suspension names: how many are over, and how many are not. Missing: it names none. */
  readonly waits?: { readonly settled: number; readonly open: number } | undefined;
}

/** What becomes of an attempt, its run and its open task runs. */
export interface Decision {
  readonly attempt: { readonly by: AttemptTransition; readonly cause: Cause | null };
  readonly run: { readonly by: RunTransition; readonly to: RunState; readonly cause: Cause | null };
  readonly tasks: TaskRunTransition;
  /** The run goes on: it is suspended, or brought back at once because one of its waits is over already. */
  readonly suspends?: { readonly resumes: boolean };
  /** The run goes on after this delay. */
  readonly again: { readonly delayMs: number; readonly spends: boolean } | null;
}

/** Causes after which a task that was under way cannot have been told to stop. */
const ABRUPT: readonly Cause[] = ["oom", "killed", "lost", "journal-full"];

/**
 * Decides every ending; the only place where retries are granted. Null: the attempt cannot end so in its state.
 *
 * | state | outcome | decision |
 * | --- | --- | --- |
 * | cancelling | completed | completed: truth beats intent |
 * | cancelling | any other | cancelled, cause `user` |
 * | claimed | refused | failed, never retried |
 * | running | completed | completed |
 * | running | suspended, waiting for something | suspended; resumed at once if that is over by now |
 * | running | suspended, waiting for nothing | failed |
 * | running | refused | failed, never retried |
 * | running | failed, cause that ends the run | failed |
 * | running | failed, cause that spends nothing | again at once |
 * | running | failed or lost, cause in the policy, retries left | again after the delay |
 * | running | failed; or cancelled though nobody asked, and the database has not forgotten it | failed |
 * | running | lost | crashed |
 */
export function decideEnding(a: Ending): Decision | null {
  if (a.state === "cancelling") return a.outcome === "completed" ? completed() : settled(a);
  if (a.state === "claimed") return a.outcome === "refused" ? refused(a, "refuse") : null;
  if (a.state !== "running") return null;
  if (a.outcome === "completed") return completed();
  if (a.outcome === "refused") return refused(a, "fail");
  if (a.outcome === "suspended" && a.waits) return suspended(a.waits);
  return a.outcome === "lost" ? lost(a) : failed(a);
}

function completed(): Decision {
  return {
    attempt: { by: "complete", cause: null },
    run: { by: "complete", to: "completed", cause: null },
    tasks: "cancel",
    again: null,
  };
}

function suspended({ settled }: NonNullable<Ending["waits"]>): Decision {
  return {
    attempt: { by: "suspend", cause: null },
    run: { by: "suspend", to: "suspended", cause: null },
    tasks: "suspend",
    suspends: { resumes: settled > 0 },
    again: null,
  };
}

function settled(a: Ending): Decision {
  return {
    attempt: { by: "settle", cause: a.outcome === "lost" ? "lost" : "user" },
    run: { by: "settle", to: "cancelled", cause: "user" },
    tasks: a.outcome === "lost" ? "lose" : "cancel",
    again: null,
  };
}

function refused(a: Ending, by: "refuse" | "fail"): Decision {
  const cause = a.cause === "invalid-parameters" ? a.cause : "refused";
  return { attempt: { by, cause }, run: { by, to: "failed", cause }, tasks: "cancel", again: null };
}

function lost(a: Ending): Decision {
  const again = retryOf(a, "lost");
  return {
    attempt: { by: "lose", cause: "lost" },
    run: again ? { by: "lose", to: "scheduled", cause: null } : { by: "lose", to: "crashed", cause: "lost" },
    tasks: "lose",
    again,
  };
}

function failed(a: Ending): Decision {
  const cause = failureCause(a);
  const again = retryOf(a, cause);
  return {
    attempt: { by: "fail", cause },
    run: again ? { by: "retry", to: "scheduled", cause: null } : { by: "fail", to: "failed", cause },
    tasks: ABRUPT.includes(cause) ? "lose" : "cancel",
    again,
  };
}

/** A worker cannot know that a person cancelled a run that the control plane was never asked to cancel. */
function failureCause(a: Ending): Cause {
  return a.outcome !== "failed" || a.cause === null || a.cause === "user" ? "error" : a.cause;
}

function retryOf(a: Ending, cause: Cause): Decision["again"] {
  if (LAST_CAUSES.includes(cause)) return null;
  if (FREE_CAUSES.includes(cause)) return { delayMs: 0, spends: false };
  if (!a.retry.causes.includes(cause) || a.spent >= a.retry.limit) return null;
  return { delayMs: a.retry.delayMs, spends: true };
}
