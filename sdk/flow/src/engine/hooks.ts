import type { Ref } from "@towpath/contract";
import type { FlowEnding } from "@towpath/contract/words";
import { Cancelled, ProcessEnded, Stopped } from "../problem.ts";
import { ctx, type RunContext } from "./context.ts";
import { atAnyRate, type Warn } from "./endings.ts";

/** How a run ended. `error` is the thrown value, unchanged. */
export type RunEnd =
  | { readonly outcome: "completed"; readonly value: unknown; readonly result: Ref | null }
  | { readonly outcome: "suspended"; readonly waits: string[] }
  | {
      readonly outcome: "failed" | "cancelled";
      readonly error: unknown;
      /** The cause why it was stopped; null if it was not. */
      readonly stop: string | null;
      /** Paths of the task calls whose errors ended the run; null if there are too many to list. */
      readonly failedBy: string[] | null;
    };

/** The error that ended a run, and the task calls that it came from. */
type Thrown = Pick<Extract<RunEnd, { error: unknown }>, "error" | "failedBy">;

/** The end of a run by an error: failed, or cancelled or out of time if it was asked to stop before. */
export function endBy({ error, failedBy }: Thrown, asked: AbortSignal): RunEnd {
  if (!asked.aborted) return { outcome: "failed", error, failedBy, stop: null };
  const reason: unknown = asked.reason;
  const stop = reason instanceof Cancelled ? reason.runCause : "user";
  // An evicted attempt has not failed: its run continues on another worker.
  if (!(reason instanceof Cancelled) || stop === "user" || stop === "evicted")
    return { outcome: "cancelled", error, failedBy, stop };
  return { outcome: "failed", error: new Stopped(reason, error), failedBy, stop };
}

/** Time limit of a hook in milliseconds. A stopped run gets less than a worker waits before it kills. */
const HOOK_MS = 10_000;
const STOPPED_HOOK_MS = 3000;

/**
 * Hooks run after the flow's function has ended and before the run ends. A hook can use whatever the flow's function
 * can. A failing hook logs a warning and changes no outcome. It has 10 seconds, or 3 if the run was asked to stop.
 *
 * If the process dies before it reports an outcome (killed, out of memory, out of time, or cancelled without a
 * reaction), the worker runs the hook once in a new process, for at most 20 seconds: `onCancellation` if the run was
 * cancelled, else `onCrash`. This process shares no memory with the first one. If the machine is lost, no hook runs.
 * A suspended run has no process: if it is cancelled, its `onCancellation` runs in an attempt of its own; if it expires, no
 * hook runs.
 */
export interface FlowHooks<Result = unknown> {
  readonly onCompletion?: (result: NoInfer<Awaited<Result>>, context: RunContext) => unknown;
  /**
   * Also called if the flow ends by itself after its time limit, or its run's. `error` is then a `Stopped` with its
   * `runCause`.
   */
  readonly onFailure?: (error: unknown, context: RunContext) => unknown;
  /**
   * A person or a parent run cancelled the run. It is not called when a worker is drained, because the run continues
   * elsewhere. If the run has no process, because it is suspended or between two attempts, it is called in a new process,
   * in an attempt of its own. If no worker takes that attempt within 60 seconds, it is not called.
   */
  readonly onCancellation?: (reason: Cancelled, context: RunContext) => unknown;
  /**
   * Called after each attempt whose process ended without an outcome, also if another attempt follows: see
   * `context.attempt`. If the machine is lost (cause `lost`), it is not called.
   */
  readonly onCrash?: (error: ProcessEnded, context: RunContext) => unknown;
}

/** Hooks of any flow. */
export interface AnyFlowHooks {
  readonly onCompletion?: ((result: never, context: RunContext) => unknown) | undefined;
  readonly onFailure?: ((error: unknown, context: RunContext) => unknown) | undefined;
  readonly onCancellation?: ((reason: Cancelled, context: RunContext) => unknown) | undefined;
  readonly onCrash?: ((error: ProcessEnded, context: RunContext) => unknown) | undefined;
}

/** The names of all hooks. */
export const HOOK_NAMES = ["onCompletion", "onFailure", "onCancellation", "onCrash"] as const;

function hookOf(hooks: AnyFlowHooks, end: RunEnd): (() => unknown) | null {
  const { onCompletion, onFailure, onCancellation } = hooks;
  if (end.outcome === "completed") return onCompletion ? () => onCompletion(end.value as never, ctx) : null;
  if (end.outcome === "failed") return onFailure ? () => onFailure(end.error, ctx) : null;
  if (end.outcome === "suspended" || end.stop === "evicted") return null;
  return onCancellation ? () => onCancellation(end.error as Cancelled, ctx) : null;
}

/** Runs the hook of an end, if there is one. */
export async function runHooks(hooks: AnyFlowHooks, end: RunEnd, warn: Warn): Promise<void> {
  const hook = hookOf(hooks, end);
  if (hook === null) return;
  const maxMs = "stop" in end && end.stop !== null ? STOPPED_HOOK_MS : HOOK_MS;
  await atAnyRate({ what: `The hook of a flow that is ${end.outcome}`, maxMs, run: hook }, warn);
}

/** The outcomes for which a new process must run a hook of the flow. */
export function endingsHandled({ onCancellation, onCrash }: AnyFlowHooks): FlowEnding["outcome"][] {
  return [...(onCancellation ? ["cancelled" as const] : []), ...(onCrash ? ["crashed" as const] : [])];
}

/** Runs the hook for an outcome that the flow's own process did not report. */
export async function runEndingHook(hooks: AnyFlowHooks, ending: FlowEnding, warn: Warn): Promise<void> {
  const { onCancellation, onCrash } = hooks;
  const isCancelled = ending.outcome === "cancelled";
  const run = isCancelled
    ? () => onCancellation?.(new Cancelled(ending.reason), ctx)
    : () => onCrash?.(new ProcessEnded(ending.cause, ending.reason), ctx);
  await atAnyRate({ what: `The hook of a flow that is ${ending.outcome}`, maxMs: HOOK_MS, run }, warn);
}
