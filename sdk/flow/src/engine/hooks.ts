import type { Cancelled } from "../problem.ts";
import { ctx, type RunContext } from "./context.ts";
import { atAnyRate, type Warn } from "./endings.ts";
import type { RunEnd } from "./run-end.ts";

/** How long a hook may take, milliseconds: after a cancellation less than a worker leaves before it kills. */
const HOOK_MS = 10_000;
const CANCELLATION_HOOK_MS = 3000;

/**
 * What a flow does once its function has ended, before the run does. A hook can use whatever the flow's function can; its
 * failure is a warning and changes no outcome. It gets 10 seconds, 3 after a cancellation.
 *
 * A process that is killed, runs out of memory or loses its machine runs no hook.
 */
export interface FlowHooks<Result = unknown> {
  readonly onCompletion?: (result: NoInfer<Awaited<Result>>, context: RunContext) => unknown;
  readonly onFailure?: (error: unknown, context: RunContext) => unknown;
  readonly onCancellation?: (reason: Cancelled, context: RunContext) => unknown;
}

/** Hooks of any flow, whose own function has made what they are given. */
export interface AnyFlowHooks {
  readonly onCompletion?: ((result: never, context: RunContext) => unknown) | undefined;
  readonly onFailure?: ((error: unknown, context: RunContext) => unknown) | undefined;
  readonly onCancellation?: ((reason: Cancelled, context: RunContext) => unknown) | undefined;
}

/** The names of all hooks. */
export const HOOK_NAMES = ["onCompletion", "onFailure", "onCancellation"] as const;

function hookOf(hooks: AnyFlowHooks, end: RunEnd): (() => unknown) | null {
  const { onCompletion, onFailure, onCancellation } = hooks;
  if (end.outcome === "completed") return onCompletion ? () => onCompletion(end.value as never, ctx) : null;
  if (end.outcome === "failed") return onFailure ? () => onFailure(end.error, ctx) : null;
  if (end.outcome === "suspended") return null;
  return onCancellation ? () => onCancellation(end.error as Cancelled, ctx) : null;
}

/** Runs the hook of an end, if there is one. */
export async function runHooks(hooks: AnyFlowHooks, end: RunEnd, warn: Warn): Promise<void> {
  const hook = hookOf(hooks, end);
  if (hook === null) return;
  const maxMs = end.outcome === "cancelled" ? CANCELLATION_HOOK_MS : HOOK_MS;
  await atAnyRate({ what: `The hook of a flow that is ${end.outcome}`, maxMs, run: hook }, warn);
}
