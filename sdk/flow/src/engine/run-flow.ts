import { setImmediate as nextTurn } from "node:timers/promises";
import type { Ref } from "@towpath/contract";
import { LIMITS } from "@towpath/contract/words";
import { Checkpoints, largeValueText } from "../checkpoint/checkpoints.ts";
import { instant } from "../clock.ts";
import { parseArguments } from "../input/arguments.ts";
import { NO_PARAMETERS } from "../input/json-schema.ts";
import { type StandardSchema, validateInput } from "../input/standard-schema.ts";
import { log } from "../logs/log.ts";
import { Cancelled, ChildFailed, NotSerialisable, Stopped, TaskTimeout } from "../problem.ts";
import { runAssigned } from "../remote/assigned.ts";
import { CallLedger } from "../task/identity.ts";
import { CLEANUP_MS } from "../task/time-limit.ts";
import { FromOtherThread } from "../thread/wire.ts";
import { ctx, type Due, dueOf, type RunContext } from "./context.ts";
import { describeError, errorChain } from "./describe-error.ts";
import { type AnyFlowHooks, endBy, type RunEnd, runHooks } from "./hooks.ts";
import type { Host } from "./host.ts";
import { watchUnhandled } from "./process-events.ts";
import type { OutcomeDraft } from "./records.ts";
import { type RunNaming, runNameOf } from "./run-name.ts";
import { type ActiveRun, activeRun, inScope, type Scope } from "./scope.ts";
import { follow, settledWithin, untilAborted } from "./settle.ts";

/**
 * Time for the flow's function to end after a cancellation: more than the clean-up of a task, less than a worker waits
 * before it kills.
 */
const SETTLE_MS = CLEANUP_MS + 2000;

/** A flow as the engine runs it. */
export interface RunnableFlow {
  readonly name: string;
  readonly input: StandardSchema | null;
  readonly fn: (input: never, context: RunContext) => unknown;
  /** Makes the parameters of a scheduled run from its due time and the schedule's parameters. */
  readonly dueInput: ((due: Due, given: unknown) => unknown) | null;
  /** Whether its tasks keep their results, unless they say so themselves. */
  readonly checkpoint?: boolean | undefined;
  readonly hooks: AnyFlowHooks;
  readonly runName?: RunNaming<never> | undefined;
}

/**
 * Validates parameters with the flow's schema. A flow without a schema takes none.
 * @throws InvalidParameters
 */
export async function inputOf(flow: RunnableFlow, parameters: unknown): Promise<unknown> {
  if (flow.input) return await validateInput({ name: flow.name, input: flow.input }, parameters);
  const given = typeof parameters === "object" && parameters !== null ? Object.keys(parameters) : [];
  const argv = given.map((key) => `${key}=`);
  return parseArguments({ name: flow.name, schema: NO_PARAMETERS }, argv);
}

/** Calls the user's function with validated input. */
export function callFlow(flow: RunnableFlow, input: unknown): unknown {
  return flow.fn(input as never, ctx);
}

/**
 * Waits for calls that the flow's function did not await. Node reports an unhandled rejection only between two turns of
 * the event loop.
 */
async function settleOpen(run: Pick<ActiveRun, "open" | "elsewhere"> & Pick<Scope, "signal">): Promise<void> {
  while (run.open.size + run.elsewhere.size > 0)
    await Promise.allSettled([...run.open.values(), ...run.elsewhere.values()]);
  await nextTurn();
  // A cancellation does not undo a completed function. An unhandled error does.
  if (run.signal.aborted && !(run.signal.reason instanceof Cancelled)) throw run.signal.reason;
}

async function parametersOf(flow: RunnableFlow, { facts, parameters }: Host): Promise<unknown> {
  const due = dueOf(facts);
  return due === null || flow.dueInput === null ? parameters : await flow.dueInput(due, parameters);
}

async function tellName({ runName }: RunnableFlow, { records, clock }: Host, input: unknown): Promise<void> {
  const name = runName === undefined ? null : runNameOf(runName, input, log.warn);
  if (name !== null) await records.post({ type: "run-name", at: instant(clock), name });
}

async function runBody(flow: RunnableFlow, scope: Scope): Promise<unknown> {
  const { host } = scope.run;
  if (host.task !== null) return await runAssigned(scope, host.task);
  const input = await inputOf(flow, await parametersOf(flow, host));
  await scope.run.checkpoints.open();
  scope.signal.throwIfAborted();
  const value = await inScope(scope, async () => {
    await tellName(flow, host, input);
    return await callFlow(flow, input);
  });
  const { open, elsewhere } = scope.run;
  await settleOpen({ open, elsewhere, signal: scope.signal });
  return value;
}

async function keep(host: Host, value: unknown): Promise<Ref | null> {
  if (value === undefined) return null;
  const { runId, attempt } = host.facts;
  const place = { runId, attempt, task: "", name: "result" };
  const begunMs = host.clock.monotonicMs();
  const ref = await host.store.save(place, value, "exact").catch(async (error: unknown) => {
    if (!(error instanceof NotSerialisable) || host.task !== null) throw error;
    // JSON also holds instances of classes with a toJSON.
    return await host.store.save(place, value, "json");
  });
  const tookMs = host.clock.monotonicMs() - begunMs;
  const text = largeValueText({ what: "The result of the flow", sizeBytes: ref.sizeBytes, tookMs });
  if (text !== null) host.records.postLog({ type: "log", at: instant(host.clock), level: "warn", text });
  return ref;
}

/** Waits a limited time for running calls, then for tear-downs, which have their own limits. */
async function settleRest(body: Promise<unknown>, run: ActiveRun): Promise<void> {
  await settledWithin(Promise.allSettled([body, ...run.open.values(), ...run.elsewhere.values()]), SETTLE_MS);
  while (run.cleanups.size > 0) await Promise.allSettled(run.cleanups.values());
}

/**
 * Runs the flow's function under one signal. A cancellation, an unhandled error or a task that must end the run aborts
 * it.
 */
async function endOf(flow: RunnableFlow, host: Host): Promise<RunEnd> {
  const own = new AbortController();
  const { signal } = own;
  const ended = new AbortController();
  const checkpoints = new Checkpoints(host, flow);
  let fatal: { readonly error: unknown } | null = null;
  const fail = (error: unknown) => {
    fatal ??= { error };
    abort(error);
  };
  const run = activeRun({ flow: flow.name, host, checkpoints, signal, ended: ended.signal, fail });
  const { waits } = run;
  const scope: Scope = { run, path: "", signal, calls: new CallLedger("", run.host.store.hashes) };
  // In the run's scope, so that listeners of the signal are in the run too.
  const abort = (reason: unknown) => inScope(scope, () => own.abort(reason));
  const unfollow = follow(host.cancelled, abort);
  const stopWatching = watchUnhandled(fail);
  host.killed?.addEventListener("abort", stopWatching, { once: true });
  const { aborted, release } = untilAborted(signal);
  let isSuspended = false;
  const body = runBody(flow, scope);
  try {
    const ended = body.then((value) => ({ value }));
    const stopped = aborted.catch(async (reason) => ({ value: await afterAbort({ body, run, reason }) }));
    const idle = waits.untilIdle().then((paths) => ({ paths }));
    const first = await Promise.race([ended, stopped, idle]);
    waits.close();
    if ("paths" in first) {
      isSuspended = true;
      return await suspended(flow, run, first.paths);
    }
    const { value } = first;
    return await concluded(flow, run, { outcome: "completed", value, result: await keep(host, value) });
  } catch (thrown) {
    const error = errorOfEnd(fatal, thrown);
    abort(new Cancelled("the flow has failed"));
    await settleRest(body, run);
    const failedBy = run.failures.pathsOf(error);
    for (const end of run.failures.unrecorded(failedBy)) await host.records.post(end);
    return await concluded(flow, run, endBy({ error, failedBy }, host.cancelled));
  } finally {
    release();
    unfollow();
    stopWatching();
    // Nothing may be thrown in a suspended flow.
    if (!isSuspended) {
      abort(new Cancelled("the flow has ended"));
      ended.abort(new Cancelled("the flow has ended"));
    }
  }
}

/** A fatal error comes before errors that it caused. */
function errorOfEnd(fatal: { readonly error: unknown } | null, thrown: unknown): unknown {
  return fatal === null ? thrown : fatal.error;
}

/** A function that completes after it was asked to stop has completed. */
async function afterAbort(args: {
  body: Promise<unknown>;
  run: ActiveRun;
  reason: unknown;
}): Promise<unknown> {
  if (!(args.reason instanceof Cancelled)) throw args.reason;
  if (await settledWithin(args.body, SETTLE_MS)) return await args.body;
  await settleRest(args.body, args.run);
  throw args.reason;
}

/**
 * Tears down the set-ups of a suspended run; a later attempt makes them again. Nothing that the flow awaits settles in
 * this process, so no more user code runs.
 */
async function suspended(flow: RunnableFlow, run: ActiveRun, waits: string[]): Promise<RunEnd> {
  for (const undo of run.whenSuspended.values().reverse()) await undo();
  return await concluded(flow, run, { outcome: "suspended", waits });
}

/** Runs the hooks, then the clean-up, once the outcome is known. */
async function concluded(flow: RunnableFlow, run: ActiveRun, end: RunEnd): Promise<RunEnd> {
  const scope = {
    run,
    path: "",
    signal: new AbortController().signal,
    calls: new CallLedger("", run.host.store.hashes),
  };
  await inScope(scope, async () => {
    await runHooks(flow.hooks, end, log.warn);
    await run.endings.run(log.warn);
  });
  // Stored results are safe on disk before the run reports its outcome.
  await run.checkpoints.untilSynced();
  return end;
}

function outcomeDraft(host: Host, end: RunEnd): OutcomeDraft {
  const base = { type: "outcome", at: instant(host.clock), outcome: end.outcome } as const;
  if (end.outcome === "completed") return end.result === null ? base : { ...base, result: end.result };
  if (end.outcome === "suspended") return { ...base, ...suspendedOn(end.waits) };
  const cause = end.outcome === "failed" && isOutOfTime(end.error) ? { cause: "timeout" as const } : {};
  const failedBy = end.failedBy === null ? {} : { failedBy: end.failedBy };
  return { ...base, ...cause, ...failedBy, error: describeError(end.error) };
}

/** The waits of a suspended run, as many as one record may name. */
function suspendedOn(waits: readonly string[]): Pick<OutcomeDraft, "waits" | "moreWaits"> {
  let [named, chars] = [0, 0];
  for (const path of waits.slice(0, LIMITS.suspendedOn)) {
    chars += path.length;
    if (chars > LIMITS.suspendedOnChars) break;
    named += 1;
  }
  if (named === waits.length) return { waits: [...waits] };
  return { waits: waits.slice(0, named), moreWaits: true };
}

/** Whether a run failed because of its time limit or that of a task: here, in a thread, or in another pool. */
function isOutOfTime(error: unknown): boolean {
  return errorChain(error).some((one) => {
    if (one instanceof ChildFailed || one instanceof Stopped)
      return one.runCause === "timeout" || one.runCause === "run-timeout";
    return one instanceof TaskTimeout || (one instanceof FromOtherThread && one.name === "TaskTimeout");
  });
}

/**
 * Runs a flow once: validates its parameters, calls its function, waits for all its calls, stores its result and
 * reports the outcome. Resolves once the gateway holds the outcome.
 *
 * Rejects only if the host does not take records.
 */
export async function runFlowIn(flow: RunnableFlow, host: Host): Promise<RunEnd> {
  // Hooks belong to the whole flow, not to one task of it.
  const end = await endOf(host.task === null ? flow : { ...flow, hooks: {} }, host);
  await host.records.postHeld(outcomeDraft(host, end));
  return end;
}
