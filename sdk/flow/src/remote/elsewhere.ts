import type { CalledRun, Ref } from "@towpath/contract";
import { isFinalRunState, RUN_STATES } from "@towpath/contract/words";
import { TaskCache } from "../cache/task-cache.ts";
import { codeVersionOf, TaskCheckpoint } from "../checkpoint/task-checkpoint.ts";
import { instant } from "../clock.ts";
import { tracked } from "../engine/scope.ts";
import { ChildFailed, NotRemote, StoreFault } from "../problem.ts";
import { runEnded } from "../suspend/wait-for.ts";
import { keptPath } from "../task/identity.ts";
import type { TaskOptions } from "../task/options.ts";
import {
  draft,
  firstDraft,
  loadedResult,
  postEnd,
  reportEnd,
  type TaskCall,
  takeEarlier,
} from "../task/run-task.ts";
import { fromWireError } from "../thread/wire.ts";
import type { RemoteInput } from "./assigned.ts";

/** Options for the calling side only. */
const OWN_SIDE: readonly (keyof TaskOptions)[] = [
  "pool",
  "onParentEnd",
  "key",
  "checkpoint",
  "durable",
  "thread",
];

function isFunction(value: unknown): boolean {
  return typeof value === "function" || (Array.isArray(value) && value.some(isFunction));
}

/** The options that a call overrides, for the other side. @throws NotRemote for options that are not data. */
function overridesOf({ declared, options }: TaskCall<unknown>): RemoteInput["overrides"] {
  const entries = Object.entries(declared?.overrides ?? {}).filter(
    ([name, value]) => value !== undefined && !OWN_SIDE.some((own) => own === name),
  );
  const [field] = entries.find(([name, value]) => name === "compute" || isFunction(value)) ?? [];
  if (field === undefined) return Object.fromEntries(entries);
  throw new NotRemote(options.name, `with() sets ${field}.`, "Set it where the task is declared.");
}

/** The arguments in the store. A later attempt finds those of the first. */
async function inputOf(call: TaskCall<unknown>): Promise<Ref> {
  const { host, checkpoints } = call.scope.run;
  const path = keptPath(call.path, { name: "input", hashes: host.store.hashes });
  const known = checkpoints.earlier.valueAt(path);
  if (known !== null) return known;
  const input: RemoteInput = { args: call.args, overrides: overridesOf(call) };
  const place = { path: call.path, name: "input" };
  const ref = await call.data.saving(() => checkpoints.keepValue(input, place));
  await host.records.post({ type: "kept", at: instant(host.clock), path, result: ref });
  return ref;
}

/** Starts the task's run, or finds the run that an earlier attempt started. */
async function startChild(call: TaskCall<unknown>): Promise<CalledRun> {
  const { options, path, scope, declared } = call;
  const { retries = 0, onParentEnd = "cancel" } = options;
  const { host } = scope.run;
  await host.records.post(firstDraft(call, "queue"));
  const task = { name: declared?.name ?? options.name, input: await inputOf(call), retries };
  const pool = host.poolOf?.(options.pool ?? "") ?? "";
  const asked = { path, call: { kind: "start-task", pool, task, onParentEnd } } as const;
  const started = await host.call(asked, scope.signal);
  await host.records.post(draft(call, "begin", 1));
  return started;
}

function isOver({ state }: CalledRun): boolean {
  const known = RUN_STATES.find((one) => one === state);
  return known !== undefined && isFinalRunState(known);
}

/** The task's error, with the failed run as its cause; or only that, if the task reported no error. */
function failureOf(call: TaskCall<unknown>, ended: CalledRun): unknown {
  const { options } = call;
  const failed = new ChildFailed({ ...ended, what: `task "${options.name}" in pool "${options.pool}"` });
  const { error = null } = ended;
  if (error === null) return failed;
  const { name, message, stack } = error;
  const thrown = fromWireError([{ name, message, stack, isError: true }]);
  return Object.assign(thrown instanceof Error ? thrown : failed, { cause: failed });
}

async function loaded(call: TaskCall<unknown>, ref: Ref): Promise<unknown> {
  try {
    return await call.data.loading(ref, () => call.scope.run.host.store.load(ref));
  } catch (cause) {
    if (!(cause instanceof StoreFault)) throw cause;
    const { pool, name } = call.options;
    throw new StoreFault(
      `The result of task "${name}" from the pool "${pool}" cannot be loaded: ${cause.message}`,
      {
        next: "`towpath doctor` shows whether the workers of both pools use the same store.",
        cause,
      },
    );
  }
}

/**
 * Runs a task call in another pool, as a run of its own. Arguments and result travel through the store. Meanwhile the
 * flow needs no process for this call.
 * @throws The task's error by name, message and stack, with a ChildFailed as its cause; only the ChildFailed if the
 * task's process was lost or its run was cancelled.
 */
export async function runElsewhere<Result>(call: TaskCall<Result>): Promise<Awaited<Result>> {
  const { scope } = call;
  const checkpoint = new TaskCheckpoint(call);
  const cache = new TaskCache(call, () => codeVersionOf(call));
  const earlier = await tracked(scope, takeEarlier(call, { checkpoint, cache }));
  if (earlier !== null) return earlier.result;
  let ended: CalledRun | null = null;
  try {
    const started = await tracked(scope, startChild(call));
    ended = isOver(started) ? started : await runEnded(scope, started.runId);
    return await tracked(scope, completed(call, { ended, checkpoint }));
  } catch (error) {
    const hookRan = ended?.state === "failed" && ended.error != null;
    await tracked(scope, reportEnd(call, { tries: 1, facts: checkpoint.facts, hookRan }, error));
    throw error;
  }
}

async function completed<Result>(
  call: TaskCall<Result>,
  { ended, checkpoint }: { ended: CalledRun; checkpoint: TaskCheckpoint },
): Promise<Awaited<Result>> {
  if (ended.state !== "completed") throw failureOf(call, ended);
  const { result } = ended;
  const value = result === null ? undefined : await loaded(call, result);
  const kept = result === null || checkpoint.facts.codeVersion === undefined ? {} : { result };
  await postEnd(call, { ...draft(call, "complete", 1), ...checkpoint.facts, ...kept, ...call.data.facts });
  return loadedResult(call, value);
}
