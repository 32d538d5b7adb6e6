import type { RunError } from "@towpath/contract";
import { TaskCache } from "../cache/task-cache.ts";
import { codeVersionOf, type ReportedFacts, TaskCheckpoint } from "../checkpoint/task-checkpoint.ts";
import { instant } from "../clock.ts";
import { describeError } from "../engine/describe-error.ts";
import { atAnyRate } from "../engine/endings.ts";
import type { TaskDraft } from "../engine/records.ts";
import { inScope, type Scope } from "../engine/scope.ts";
import { Cancelled, TaskTimeout } from "../problem.ts";
import { fromWireError } from "../thread/wire.ts";
import type { DataTimer } from "./data-timer.ts";
import { CallLedger } from "./identity.ts";
import { type Producer, upstreamFact } from "./lineage.ts";
import type { TaskOptions } from "./options.ts";
import { isRetryable, retryDelay } from "./retry.ts";
import { takeSlots } from "./slots.ts";
import { runLimited, TIMEOUT_GRACE_MS } from "./time-limit.ts";

const STILL_RUNNING =
  'was asked to stop but is still running. Towpath can end it only with its process. Pass ctx.signal to the calls that it waits for, or give the task ifIgnored: "kill".';
/** How much later a blocked process is killed than a try would end the run, milliseconds. */
const LATE_MS = 2000;

/** One call of a task, with its identity known. */
export interface TaskCall<Result> {
  readonly options: TaskOptions;
  readonly path: string;
  readonly scope: Scope;
  readonly data: DataTimer;
  readonly args: readonly unknown[];
  /** The calls that its arguments came from. */
  readonly upstream: readonly Producer[];
  /** The path of the map that makes the call, if one does. */
  readonly map?: string;
  readonly fn: () => Result | Promise<Result>;
  /** The author's function. Its text identifies its code if nothing else does. */
  readonly source: (...args: never[]) => unknown;
  /** Hash of the arguments, if the path does not identify them. */
  readonly inputHash?: () => string;
  /** How to find the task after its module was loaded again; missing for a flow. */
  readonly declared?: DeclaredAs;
}

/** The declared name of a task, and the options that calls have overridden. */
export interface DeclaredAs {
  readonly name: string;
  readonly overrides: Partial<TaskOptions>;
}

/** The record of one move of a task call. */
export function draft(call: TaskCall<unknown>, move: TaskDraft["move"], tries: number): TaskDraft {
  const at = instant(call.scope.run.host.clock);
  return { type: "task", at, path: call.path, name: call.options.name, move, tries };
}

/** The first record of a call, which also says where its arguments came from. */
export function firstDraft(call: TaskCall<unknown>, move: "queue" | "reuse" | "fail"): TaskDraft {
  return { ...draft(call, move, 0), ...upstreamFact(call.upstream) };
}

function isCancellation(error: unknown, scope: Scope): boolean {
  return error instanceof Cancelled || (scope.signal.aborted && error === scope.signal.reason);
}

/** Whether the run must end if a try ignores its time limit. A thread is ended by itself. */
function endsRun({ options, scope }: TaskCall<unknown>): boolean {
  return options.ifIgnored === "kill" && options.thread !== true && scope.run.fail !== undefined;
}

function isIgnored(error: unknown): error is TaskTimeout {
  return error instanceof TaskTimeout && error.ignored;
}

/** @param tries Excluding tries that only repeated a recorded failure. */
function isWorthRetrying(call: TaskCall<unknown>, tries: number, error: unknown): boolean {
  const { retries = 0 } = call.options;
  if (tries > retries || call.scope.signal.aborted || isCancellation(error, call.scope)) return false;
  if (isIgnored(error)) return false;
  return isRetryable(call.options, error, tries);
}

/** Kills the process if this try blocks it beyond its time limit and grace. */
async function watched(call: TaskCall<unknown>, tries: number): Promise<() => void> {
  const { timeoutMs, timeoutGraceMs = TIMEOUT_GRACE_MS, name } = call.options;
  const { watchdog } = call.scope.run.host;
  if (timeoutMs === undefined || watchdog === null || call.options.thread === true) return () => {};
  const afterMs = timeoutMs + timeoutGraceMs + (endsRun(call) ? LATE_MS : 0);
  const message = `Task "${name}" blocked its process for longer than its ${timeoutMs} ms and ${timeoutGraceMs} ms more, so the process was killed. Give the task thread: true, or let its function await regularly.`;
  return await watchdog.watch({ afterMs, path: call.path, name, tries, message });
}

/** The ledger is shared by all tries: a child that failed in one try is another child in the next. */
async function tryOnce<Result>(
  call: TaskCall<Result>,
  calls: CallLedger,
  tries: number,
): Promise<Awaited<Result>> {
  const { options, scope, path, fn, data } = call;
  const unwatch = await watched(call, tries);
  const scopeOf = (signal: AbortSignal): Scope => ({ run: scope.run, path, signal, calls, data });
  const limits = {
    task: options.name,
    outer: scope.signal,
    timeoutMs: options.timeoutMs ?? null,
    timeoutGraceMs: options.timeoutGraceMs,
    endsRun: endsRun(call),
    whenQuiet: (then: () => void) => calls.whenQuiet(then),
    around: (signal: AbortSignal, run: () => void) => inScope(scopeOf(signal), run),
    onUp: ({ wasAborted }: { wasAborted: boolean }) => {
      // If the run ends for this try, the watchdog stays: the try may block the process from now on.
      if (wasAborted || !endsRun(call)) unwatch();
    },
    onLeft: () => warn(call, STILL_RUNNING),
  };
  const inTry = async (signal: AbortSignal): Promise<Awaited<Result>> => {
    const result: Result | Promise<Result> = inScope(scopeOf(signal), fn);
    return await result;
  };
  try {
    return await runLimited(limits, inTry);
  } finally {
    unwatch();
  }
}

interface Tried<Result> {
  readonly result: Awaited<Result>;
  readonly tries: number;
}

/**
 * Tries until one succeeds or no retry is left. `progress.tries` counts them for the report.
 *
 * A try may fail because a call in it repeats a failure of an earlier attempt. In that attempt this task went on to its
 * next try, so it does so again, at once. It had no next try if no retry was left: the task fails.
 */
async function tryRepeatedly<Result>(
  call: TaskCall<Result>,
  progress: { tries: number },
): Promise<Tried<Result>> {
  const calls = new CallLedger(call.path, call.scope.run.host.store.hashes);
  let again = 0;
  while (true) {
    call.scope.signal.throwIfAborted();
    progress.tries += 1;
    try {
      return { result: await tryWithSlots(call, calls, progress.tries), tries: progress.tries };
    } catch (error) {
      if (isRepeated(call, error)) {
        if (again >= (call.options.retries ?? 0)) throw error;
        again += 1;
        const retry = { ...draft(call, "retry", progress.tries), error: describeError(error) };
        await call.scope.run.host.records.post(retry);
      } else if (!isWorthRetrying(call, progress.tries - again, error)) throw error;
      else await waitForRetry(call, progress.tries, error);
    }
  }
}

/** Whether a try failed because a call in it repeated a failure of an earlier attempt. */
function isRepeated({ scope }: TaskCall<unknown>, error: unknown): boolean {
  return !scope.signal.aborted && scope.run.failures.takeAgain(error);
}

/** A try begins once it has its slots. It holds none while it waits for the next try. */
async function tryWithSlots<Result>(
  call: TaskCall<Result>,
  calls: CallLedger,
  tries: number,
): Promise<Awaited<Result>> {
  const { run, signal } = call.scope;
  const { name, limits, tags } = call.options;
  const giveBack = await takeSlots(run, { name, limits, tags, path: call.path, signal, tries });
  let goesOn = false;
  try {
    await run.host.records.post(draft(call, "begin", tries));
    return await tryOnce(call, calls, tries);
  } catch (error) {
    goesOn = isIgnored(error);
    throw error;
  } finally {
    // A function that ignores its time limit still uses its slots. They return when the attempt ends.
    if (!goesOn) giveBack();
  }
}

/** Runs one task call and reports each of its moves. Resolves only when the worker holds the record of its completion. */
export async function runTask<Result>(call: TaskCall<Result>): Promise<Awaited<Result>> {
  const { records } = call.scope.run.host;
  const checkpoint = new TaskCheckpoint(call);
  const cache = new TaskCache(call, () => codeVersionOf(call));
  const earlier = await takeEarlier(call, { checkpoint, cache });
  if (earlier !== null) return earlier.result;
  const progress = { tries: 0 };
  await records.post({ ...firstDraft(call, "queue"), at: call.data.calledAt });
  try {
    const { result, tries } = await tryRepeatedly(call, progress);
    await cache.keep(result);
    const kept = await checkpoint.keep(result);
    // After the save, so that its time is part of the call.
    await postEnd(call, {
      ...draft(call, "complete", tries),
      ...checkpoint.facts,
      ...kept,
      ...call.data.facts,
    });
    noteResult(call, result);
    return result;
  } catch (error) {
    await reportEnd(call, { tries: progress.tries, facts: checkpoint.facts }, error);
    // Before the flow receives the error, so that it can start nothing more.
    if (isIgnored(error)) call.scope.run.fail?.(error);
    throw error;
  }
}

/**
 * Repeats the error of an earlier attempt, and reports it unless this run has. Only name, message and stack survive;
 * the class does not, except built-in ones.
 */
async function throwEarlier(call: TaskCall<unknown>, checkpoint: TaskCheckpoint): Promise<void> {
  const earlier = checkpoint.earlierFailure();
  if (earlier === null) return;
  const { failures } = call.scope.run;
  const error = thrownAgain(earlier.error);
  failures.noteAgain(call.path, error);
  const end = { ...firstDraft(call, "fail"), ...checkpoint.facts, error: earlier.error };
  if (earlier.isRecorded) failures.noteUnrecorded(end);
  else await postEnd(call, end);
  throw error;
}

function thrownAgain({ name, message, stack }: RunError): Error {
  const error = fromWireError([{ name, message, stack, isError: true }]);
  return error instanceof Error ? error : new Error(message);
}

/**
 * Returns the valid result of an earlier call, or null. Reports it, unless an earlier attempt of this run has.
 * @throws The error of the call in an earlier attempt, if it must be thrown again.
 */
export async function takeEarlier<Result>(
  call: TaskCall<Result>,
  args: { readonly checkpoint: TaskCheckpoint; readonly cache: TaskCache },
): Promise<{ readonly result: Awaited<Result> } | null> {
  if (call.scope.anew === true) return null;
  await throwEarlier(call, args.checkpoint);
  const own = await args.checkpoint.earlier();
  if (own?.isRecorded === true) return { result: loadedResult(call, own.value) };
  const earlier = own ?? (await args.cache.find());
  if (earlier === null) return null;
  const { records } = call.scope.run.host;
  const reuse = { ...firstDraft(call, "reuse"), ...args.checkpoint.facts, ...call.data.facts };
  await records.post({ ...reuse, result: earlier.ref });
  return { result: loadedResult(call, earlier.value) };
}

/** Reports that a call has ended, as durably as its task requires. */
export async function postEnd(call: TaskCall<unknown>, end: TaskDraft): Promise<void> {
  const { host, checkpoints } = call.scope.run;
  if (call.options.durable !== true) return await host.records.postHeld(end);
  await Promise.all([host.records.postStored(end, call.scope.signal), checkpoints.untilSynced()]);
}

/** Remembers that a value is the result of this call. */
function noteResult({ scope, path, map, upstream }: TaskCall<unknown>, value: unknown): void {
  const producer = map === undefined ? { path } : { path, map };
  scope.run.lineage.note(value, { producer, upstream });
}

/**
 * Gives a loaded result the type of its task, and remembers that it is this call's. The store has checked that its
 * bytes are those of an equal call's result.
 */
export function loadedResult<Result>(call: TaskCall<Result>, value: unknown): Awaited<Result> {
  noteResult(call, value);
  return value as Awaited<Result>;
}

/** Logs a warning about a task call. */
function warn(call: TaskCall<unknown>, text: string): void {
  const { records, clock } = call.scope.run.host;
  const line = `Task "${call.options.name}" ${text}`;
  records.postLog({ type: "log", at: instant(clock), level: "warn", text: line, task: call.path });
}

/** Time limit of a task's hook, milliseconds. */
const HOOK_MS = 10_000;

/** Calls a hook in the scope of the task. */
async function tell(call: TaskCall<unknown>, name: string, hook: () => unknown): Promise<void> {
  const scope = { ...call.scope, path: call.path };
  const ending = { what: `has a hook ${name} that`, maxMs: HOOK_MS, run: () => inScope(scope, hook) };
  await atAnyRate(ending, (text) => warn(call, text));
}

async function waitForRetry(call: TaskCall<unknown>, tries: number, error: unknown): Promise<void> {
  const { host } = call.scope.run;
  const ms = retryDelay(call.options, { tries, error, random: host.random });
  const described = describeError(error);
  await host.records.post({ ...draft(call, "retry", tries), error: described });
  warn(call, `failed in try ${tries}. The next try begins in ${ms} ms. Error: ${described.message}`);
  const { onRetry } = call.options;
  if (onRetry) await tell(call, "onRetry", () => onRetry(error, { tries, delayMs: ms }));
  await host.clock.pause(ms, call.scope.signal);
}

/** @param args.hookRan Whether the hook was called in the pool where the task ran. */
export async function reportEnd(
  call: TaskCall<unknown>,
  args: { tries: number; facts: ReportedFacts; hookRan?: boolean },
  error: unknown,
): Promise<void> {
  const { run } = call.scope;
  const move = isCancellation(error, call.scope) ? "cancel" : "fail";
  if (move === "fail") run.failures.note(call.path, error);
  // A failure during a stop is not final. Without these facts, a later attempt calls the task again.
  const isStopping = call.scope.signal.aborted || run.signal.aborted;
  const facts = isStopping && move === "fail" ? {} : args.facts;
  const end = { ...draft(call, move, args.tries), ...facts, ...call.data.facts, error: describeError(error) };
  // Recorded before the flow receives the error, so that its reaction cannot outlive the reason.
  if (isStopping) await run.host.records.post(end);
  else await postEnd(call, end);
  const { onFailure } = call.options;
  if (move === "fail" && onFailure && args.hookRan !== true)
    await tell(call, "onFailure", () => onFailure(error, { tries: args.tries }));
}
