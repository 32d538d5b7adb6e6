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

/** How an attempt ended: as its worker reports it, or `lost` if no report comes. */
export type Outcome = Extract<ControlRecord, { type: "ended" }>["outcome"] | "lost";

/** The input of a decision about an ending. */
export interface Ending {
  readonly state: AttemptState;
  readonly outcome: Outcome;
  /** The cause that the worker gave. */
  readonly cause: Cause | null;
  readonly retry: Spec["retry"];
  /** Retries that the run has spent already. */
  readonly spent: number;
  /** Of a run that is being cancelled: the cause of the cancellation. @default "user" */
  readonly cancelCause?: Cause | null | undefined;
  /** Whether the attempt runs only a hook, which has no say in how the run ends. @default false */
  readonly onlyHook?: boolean;
  /** Of the waits that a suspension names: how many are over, and how many are not. Missing: it names none. */
  readonly waits?: { readonly settled: number; readonly open: number } | undefined;
}

/** The decision about an attempt, its run and its open task runs. */
export interface Decision {
  readonly attempt: { readonly by: AttemptTransition; readonly cause: Cause | null };
  readonly run: { readonly by: RunTransition; readonly to: RunState; readonly cause: Cause | null };
  readonly tasks: TaskRunTransition;
  /** The run continues: it is suspended, or resumed at once because one of its waits is already over. */
  readonly suspends?: { readonly resumes: boolean };
  /** The run continues after this delay. */
  readonly again: { readonly delayMs: number; readonly spends: boolean } | null;
}

/** Causes after which a running task cannot have received a request to stop. */
const ABRUPT: readonly Cause[] = ["oom", "killed", "lost", "journal-full"];

/**
 * Decides every ending. This is the only function that grants retries. Null: the attempt's state does not allow this
 * end.
 *
 * | state | outcome | decision |
 * | --- | --- | --- |
 * | cancelling | completed | completed: truth beats intent; not of an attempt that runs only a hook |
 * | cancelling | any other | cancelled, with the cause of the cancellation |
 * | claimed | refused | failed, never retried |
 * | running | completed | completed |
 * | running | suspended, with waits | suspended; resumed at once if one is already over |
 * | running | suspended, without waits | failed |
 * | running | refused | failed, never retried |
 * | running | failed, cause that ends the run | failed |
 * | running | failed, cause that spends nothing | again at once |
 * | running | failed or lost, cause in the policy, retries left | again after the delay |
 * | running | failed; or cancelled without a request, and the database has not forgotten one | failed |
 * | running | lost | crashed |
 */
export function decideEnding(args: Ending): Decision | null {
  if (args.state === "cancelling")
    return args.outcome === "completed" && args.onlyHook !== true ? completed() : settled(args);
  if (args.state === "claimed") return args.outcome === "refused" ? refused(args, "refuse") : null;
  if (args.state !== "running") return null;
  if (args.outcome === "completed") return completed();
  if (args.outcome === "refused") return refused(args, "fail");
  if (args.outcome === "suspended" && args.waits) return suspended(args.waits);
  return args.outcome === "lost" ? lost(args) : failed(args);
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

function settled(args: Ending): Decision {
  return {
    attempt: { by: "settle", cause: args.outcome === "lost" ? "lost" : "user" },
    run: { by: "settle", to: "cancelled", cause: args.cancelCause ?? "user" },
    tasks: args.outcome === "lost" ? "lose" : "cancel",
    again: null,
  };
}

function refused(args: Ending, by: "refuse" | "fail"): Decision {
  const cause = args.cause === "invalid-parameters" ? args.cause : "refused";
  return { attempt: { by, cause }, run: { by, to: "failed", cause }, tasks: "cancel", again: null };
}

function lost(args: Ending): Decision {
  const again = retryOf(args, "lost");
  return {
    attempt: { by: "lose", cause: "lost" },
    run: again ? { by: "lose", to: "scheduled", cause: null } : { by: "lose", to: "crashed", cause: "lost" },
    tasks: "lose",
    again,
  };
}

function failed(args: Ending): Decision {
  const cause = failureCause(args);
  const again = retryOf(args, cause);
  return {
    attempt: { by: "fail", cause },
    run: again ? { by: "retry", to: "scheduled", cause: null } : { by: "fail", to: "failed", cause },
    tasks: ABRUPT.includes(cause) ? "lose" : "cancel",
    again,
  };
}

/** A worker cannot know of a cancellation that the control plane was never asked for. */
function failureCause(args: Ending): Cause {
  return args.outcome !== "failed" || args.cause === null || args.cause === "user" ? "error" : args.cause;
}

function retryOf(args: Ending, cause: Cause): Decision["again"] {
  if (LAST_CAUSES.includes(cause)) return null;
  if (FREE_CAUSES.includes(cause)) return { delayMs: 0, spends: false };
  if (!args.retry.causes.includes(cause) || args.spent >= args.retry.limit) return null;
  return { delayMs: args.retry.delayMs, spends: true };
}
