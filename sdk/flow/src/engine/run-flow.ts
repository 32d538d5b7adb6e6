import { setImmediate as nextTurn } from "node:timers/promises";
import type { Ref, RunError } from "@towpath/contract";
import { instant } from "../clock.ts";
import { parseArguments } from "../input/arguments.ts";
import { NO_PARAMETERS } from "../input/json-schema.ts";
import type { StandardSchema } from "../input/standard-schema.ts";
import { validateInput } from "../input/validate.ts";
import { Cancelled } from "../problem.ts";
import { CallLedger } from "../task/identity.ts";
import { CLEANUP_MS } from "../task/time-limit.ts";
import { ctx, type RunContext } from "./context.ts";
import { describeError } from "./describe-error.ts";
import type { Host } from "./host.ts";
import { OpenSet } from "./open-set.ts";
import type { OutcomeDraft } from "./records.ts";
import { type ActiveRun, inScope, type Scope } from "./scope.ts";
import { settledWithin, untilAborted } from "./settle.ts";
import { watchUnhandled } from "./unhandled.ts";

/**
 * After a cancellation, how long the flow's function may take to end by itself: a little more than a task's own
 * clean-up, and less than the time a worker leaves before it kills.
 */
const SETTLE_MS = CLEANUP_MS + 2000;

/** A flow as the engine runs it. */
export interface RunnableFlow {
  readonly name: string;
  readonly input: StandardSchema | null;
  readonly fn: (input: never, context: RunContext) => unknown;
}

/** How a run ended. `error` is what was thrown, as it is. */
export type RunEnd =
  | { readonly outcome: "completed"; readonly value: unknown; readonly result: Ref | null }
  | { readonly outcome: "failed" | "cancelled"; readonly error: unknown };

/** Parameters of a flow without a schema: there are none. */
async function inputOf(flow: RunnableFlow, parameters: unknown): Promise<unknown> {
  if (flow.input) return await validateInput({ name: flow.name, input: flow.input }, parameters);
  const given = typeof parameters === "object" && parameters !== null ? Object.keys(parameters) : [];
  const argv = given.map((key) => `${key}=`);
  return parseArguments({ name: flow.name, schema: NO_PARAMETERS }, argv);
}

/** Calls the user's function with input that its own schema has just answered. */
function callFlow(flow: RunnableFlow, input: unknown): unknown {
  return flow.fn(input as never, ctx);
}

/**
 * Waits for what the flow's function left running. A failure there that nobody handles is heard as an unhandled
 * rejection, which Node tells only between two turns of the event loop.
 */
async function settleOpen(run: Pick<ActiveRun, "open"> & Pick<Scope, "signal">): Promise<void> {
  while (run.open.size > 0) await Promise.allSettled(run.open.values());
  await nextTurn();
  // A cancellation does not undo a function that has returned; something unhandled does.
  if (run.signal.aborted && !(run.signal.reason instanceof Cancelled)) throw run.signal.reason;
}

async function runBody(flow: RunnableFlow, scope: Scope): Promise<unknown> {
  const input = await inputOf(flow, scope.run.host.parameters);
  scope.signal.throwIfAborted();
  const value = await inScope(scope, async () => await callFlow(flow, input));
  await settleOpen({ open: scope.run.open, signal: scope.signal });
  return value;
}

async function keep(host: Host, value: unknown): Promise<Ref | null> {
  if (value === undefined) return null;
  const { runId, attempt } = host.facts;
  return await host.store.save({ runId, attempt, task: "", name: "result" }, value, "json");
}

/** The flow's function under one signal: the host's cancellation, or what nothing handled, ends it. */
async function endOf(flow: RunnableFlow, host: Host): Promise<RunEnd> {
  const own = new AbortController();
  const signal = AbortSignal.any([host.cancelled, own.signal]);
  const run: ActiveRun = { flow: flow.name, host, open: new OpenSet() };
  const stopWatching = watchUnhandled((error) => own.abort(error));
  const { aborted, release } = untilAborted(signal);
  const body = runBody(flow, { run, path: "", signal, calls: new CallLedger("") });
  try {
    const value = await Promise.race([body, aborted.catch((reason) => afterAbort(body, reason))]);
    return { outcome: "completed", value, result: await keep(host, value) };
  } catch (thrown) {
    const error = own.signal.aborted ? own.signal.reason : thrown;
    own.abort(new Cancelled("the flow has failed"));
    await settledWithin(Promise.allSettled([body, ...run.open.values()]), SETTLE_MS);
    return { outcome: host.cancelled.aborted ? "cancelled" : "failed", error };
  } finally {
    release();
    stopWatching();
    // Code that lives on after its flow must not begin anything in its name.
    own.abort(new Cancelled("the flow has ended"));
  }
}

/** Truth beats intent: a function that still completes after it was asked to stop has completed. */
async function afterAbort(body: Promise<unknown>, reason: unknown): Promise<unknown> {
  if (reason instanceof Cancelled && (await settledWithin(body, SETTLE_MS))) return await body;
  throw reason;
}

function outcomeDraft(host: Host, end: RunEnd): OutcomeDraft {
  const base = { type: "outcome", at: instant(host.clock), outcome: end.outcome } as const;
  if (end.outcome === "completed") return end.result === null ? base : { ...base, result: end.result };
  return { ...base, error: errorOf(end) };
}

function errorOf(end: Extract<RunEnd, { error: unknown }>): RunError {
  return describeError(end.error);
}

/**
 * Runs a flow once: validates its parameters, calls its function, waits for everything it began, keeps its result in
 * the store and reports the outcome. Resolves once the outcome is held, whatever the outcome is.
 *
 * Rejects only if the host does not take records.
 */
export async function runFlowIn(flow: RunnableFlow, host: Host): Promise<RunEnd> {
  const end = await endOf(flow, host);
  await host.records.postHeld(outcomeDraft(host, end));
  return end;
}
