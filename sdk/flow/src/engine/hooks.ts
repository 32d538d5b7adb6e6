import type { FlowEnding } from "@towpath/contract/words";
import { Cancelled, ProcessEnded } from "../problem.ts";
import { ctx, type RunContext } from "./context.ts";
import { atAnyRate, type Warn } from "./endings.ts";
import type { RunEnd } from "./run-end.ts";

/** How long a hook may take, milliseconds: where the run is stopped, less than a worker leaves before it kills. */
const HOOK_MS = 10_000;
const STOPPED_HOOK_MS = 3000;

/**
 * What a flow does once its function has ended, before the run does. A hook can use whatever the flow's function can; its
 * failure is a warning and changes no outcome. It gets 10 seconds, 3 where the run was asked to stop.
 *
 * Where the flow's process is gone before it has said how it ended (killed, out of memory, out of time, cancelled and deaf to it), its worker has a
 * process of its own run the hook for that, once, in at most 20 seconds: `onCancellation` if the run was cancelled, else
 * `onCrash`. It shares nothing with the process that is gone. A machine that is lost runs no hook.
 */
export interface FlowHooks<Result = unknown> {
  readonly onCompletion?: (result: NoInfer<Awaited<Result>>, context: RunContext) => unknown;
  /** Also of a flow that ends by itself once its time limit, or its run's, has passed: `error` is a `Stopped` with its `runCause`. */
  readonly onFailure?: (error: unknown, context: RunContext) => unknown;
  /** Somebody cancelled the run. Not told of a worker that is drained, since the run goes on elsewhere: no hook is. */
  readonly onCancellation?: (reason: Cancelled, context: RunContext) => unknown;
  /**
   * Told of each attempt whose process ended without saying how, also where another attempt follows: `context.attempt` says which. A machine
   * that is lost runs no hook: of the cause `lost` it is not told.
   */
  readonly onCrash?: (error: ProcessEnded, context: RunContext) => unknown;
}

/** Hooks of any flow, whose own function has made what they are given. */
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

/** The ends after which a process of its own has a hook of the flow to run. */
export function endingsHandled({ onCancellation, onCrash }: AnyFlowHooks): FlowEnding["outcome"][] {
  return [...(onCancellation ? ["cancelled" as const] : []), ...(onCrash ? ["crashed" as const] : [])];
}

/** Runs the hook for an end that the flow's process did not live to see. */
export async function runEndingHook(hooks: AnyFlowHooks, ending: FlowEnding, warn: Warn): Promise<void> {
  const { onCancellation, onCrash } = hooks;
  const isCancelled = ending.outcome === "cancelled";
  const run = isCancelled
    ? () => onCancellation?.(new Cancelled(ending.reason), ctx)
    : () => onCrash?.(new ProcessEnded(ending.cause, ending.reason), ctx);
  await atAnyRate({ what: `The hook of a flow that is ${ending.outcome}`, maxMs: HOOK_MS, run }, warn);
}
