import type { CalledRun, Context, Ref } from "@towpath/contract";
import { isRef } from "@towpath/contract/words";
import { keepProgress, progressKept } from "../keep/progress.ts";
import { ChildFailed, StoreFault } from "../problem.ts";
import { type CodecChoice, encode } from "../store/codec.ts";
import { ofParameter } from "../store/refs.ts";
import { outsideOfTasks, runEnded } from "../suspend/wait-for.ts";
import { hashInput } from "../task/input-hash.ts";
import { type Scope, scopeFor } from "./scope.ts";

/** The due time of a scheduled run. */
export interface Due {
  /** The schedule's name. */
  readonly schedule: string;
  /** The due time, which may be before the run's start. */
  readonly at: Date;
  /** The data interval: from the previous due time up to this one, excluding its end. */
  readonly interval: { readonly start: Date; readonly end: Date };
}

/** The due time in a context; null if the run is not scheduled. */
export function dueOf(facts: Pick<Context, "due">): Due | null {
  // A worker of an earlier release does not send it.
  const due = facts.due ?? null;
  if (due === null) return null;
  const at = new Date(due.at);
  return { schedule: due.schedule, at, interval: { start: new Date(due.intervalStart), end: at } };
}

declare const VALUE: unique symbol;

/** A ref with the type of its value, for the compiler only. */
export interface RefTo<Value> extends Ref {
  readonly [VALUE]?: Value;
}

/** How `ctx.runDeployment` starts a run. */
export interface RunDeploymentOptions {
  /** Identifies this call. @default a hash of the parameters */
  readonly key?: string;
  /** Whether the flow waits for the end of the other run. @default true */
  readonly wait?: boolean;
  /** What happens to the other run if this one ends first. @default "cancel"; "abandon" with `wait: false` */
  readonly onParentEnd?: "cancel" | "abandon";
}

/** JSON parameters of a run that a flow starts. */
export type RunParameters = { readonly [key: string]: unknown };

/** The run that the calling code is part of. */
export interface RunContext {
  readonly runId: string;
  readonly attemptId: string;
  /** Ordinal of the attempt, from 1. */
  readonly attempt: number;
  readonly workspaceId: string;
  readonly deployment: string;
  readonly version: number;
  /** When the run was due. Use it instead of the current time to select data. */
  readonly scheduledAt: Date;
  /** The due time of a scheduled run and its data interval; null if the run is not scheduled. */
  readonly due: Due | null;
  /** Path of the task run, or null in the flow's own function. */
  readonly taskPath: string | null;
  /** Aborts on cancellation and, in a task, at its time limit. Pass it to everything that waits. */
  readonly signal: AbortSignal;
  /**
   * Stores a value on your side; only the ref can leave.
   * @param options.codec `exact` restores what JSON cannot hold, such as dates, maps and sets. @default bytes for byte arrays, text for strings, json for anything else
   * @throws NotSerialisable | StoreFault
   */
  save<Value>(name: string, value: Value, options?: { codec?: CodecChoice }): Promise<RefTo<Value>>;
  /**
   * Loads a value from this store and checks its hash.
   * @throws StoreFault
   */
  load<Value>(ref: RefTo<Value>): Promise<Value>;
  /**
   * Stores progress of a task, so that a later try or attempt can continue from it with `kept`. The latest value of a
   * name counts. Resolves once the value is in the store and in the worker's journal. In the flow's own function, the
   * value belongs to the run.
   * @throws NotSerialisable | StoreFault
   */
  keep(name: string, value: unknown): Promise<void>;
  /** The last value of this name that this task call has stored, in this or an earlier attempt; else undefined. */
  kept<Value>(name: string): Promise<Value | undefined>;
  /**
   * Starts a run of another deployment and returns at once. It can be called in a task. Later attempts find the same run.
   * `suspend.run` waits for its end.
   * @throws CallRefused if the control plane does not allow it: the deployment must be in this one's `mayStart`.
   */
  runDeployment(
    deployment: string,
    parameters: RunParameters | undefined,
    options: RunDeploymentOptions & { readonly wait: false },
  ): Promise<CalledRun>;
  /**
   * Starts a run of another deployment and waits for its end. Meanwhile this run is suspended if nothing else of it is
   * running. Later attempts find the same run.
   *
   * To run a flow in this process, call `inner.run()`. To run one task in another pool, use `task.with({ pool })`.
   * @returns What the other flow returned.
   * @throws ChildFailed if it did not complete; CallRefused as above; SuspendInTask in a task.
   */
  runDeployment(
    deployment: string,
    parameters?: RunParameters,
    options?: RunDeploymentOptions,
  ): Promise<unknown>;
  /** The state of a run. */
  getRun(runId: string): Promise<CalledRun>;
}

function here(member: string): Scope {
  return scopeFor(`ctx.${member}`);
}

/** The parameters as JSON. @throws NotSerialisable */
function asJson(value: RunParameters): Record<string, never> {
  return JSON.parse(new TextDecoder().decode(encode(value, { codec: "json", name: "parameters" })));
}

async function startRun(
  scope: Scope,
  args: { readonly deployment: string; readonly parameters: RunParameters } & RunDeploymentOptions,
): Promise<CalledRun> {
  const { deployment, key, wait = true, onParentEnd = wait ? "cancel" : "abandon" } = args;
  const wire = asJson(args.parameters);
  const hashed = { what: `ctx.runDeployment "${deployment}"`, hashes: scope.run.host.store.hashes };
  const callKey =
    key === undefined
      ? ({ kind: "hash", hash: hashInput(hashed, [wire]) } as const)
      : ({ kind: "given", key } as const);
  const { path, settled } = scope.calls.name(`start-run ${deployment}`, callKey, "run");
  try {
    return await scope.run.host.call(
      { path, call: { kind: "start-run", deployment, parameters: wire, onParentEnd } },
      scope.signal,
    );
  } finally {
    settled();
  }
}

function runDeployment(
  deployment: string,
  parameters: RunParameters | undefined,
  options: RunDeploymentOptions & { readonly wait: false },
): Promise<CalledRun>;
function runDeployment(
  deployment: string,
  parameters?: RunParameters,
  options?: RunDeploymentOptions,
): Promise<unknown>;
async function runDeployment(
  deployment: string,
  parameters: RunParameters = {},
  options: RunDeploymentOptions = {},
): Promise<unknown> {
  const call = { deployment, parameters, ...options };
  if (options.wait === false) return await startRun(here("runDeployment"), call);
  const scope = outsideOfTasks("ctx.runDeployment");
  const started = await startRun(scope, call);
  const ended = await runEnded(scope, started.runId);
  if (ended.state !== "completed") throw new ChildFailed({ ...ended, what: `"${deployment}"` });
  return ended.result === null ? undefined : await scope.run.host.store.load(ended.result);
}

/**
 * The run that the calling code is part of. It is also the second argument of a flow's function. Its members throw
 * `OutsideOfRun` outside of a run.
 */
export const ctx: RunContext = {
  get runId() {
    return here("runId").run.host.facts.runId;
  },
  get attemptId() {
    return here("attemptId").run.host.facts.attemptId;
  },
  get attempt() {
    return here("attempt").run.host.facts.attempt;
  },
  get workspaceId() {
    return here("workspaceId").run.host.facts.workspaceId;
  },
  get deployment() {
    return here("deployment").run.host.facts.deployment;
  },
  get version() {
    return here("version").run.host.facts.version;
  },
  get scheduledAt() {
    return new Date(here("scheduledAt").run.host.facts.scheduledAt);
  },
  get due() {
    return dueOf(here("due").run.host.facts);
  },
  get taskPath() {
    return here("taskPath").path || null;
  },
  get signal() {
    return here("signal").signal;
  },
  async save(name, value, options = {}) {
    const { run, path, data } = here("save");
    const place = { runId: run.host.facts.runId, attempt: run.host.facts.attempt, task: path, name };
    const save = () => run.host.store.save(place, value, options.codec);
    const ref = await (data?.saving(save) ?? save());
    run.lineage.noteSaved(ref, { value, path });
    return ref;
  },
  async load<Value>(ref: RefTo<Value>): Promise<Value> {
    const { run, data } = here("load");
    // The worker checks exactly these objects in the parameters of a run.
    if (!isRef(ref))
      throw new StoreFault("The value is no ref.", {
        next: "Pass what `ctx.save` returned: an object with `uri`, `codec`, `sizeBytes` and `sha256`, and no other fields.",
      });
    const load = () =>
      run.host.store.load(ref).catch((error: unknown) => {
        throw ofParameter(error, { ref, parameters: run.host.parameters });
      });
    const value = await (data?.loading(ref, load) ?? load());
    run.lineage.noteLoaded(value, ref);
    return loadedValue(ref, value);
  },
  keep: (name, value) => keepProgress(here("keep"), { name, value }),
  async kept<Value>(name: string): Promise<Value | undefined> {
    return keptValue<Value>(await progressKept(here("kept"), name));
  },
  runDeployment,
  async getRun(runId) {
    const scope = here("getRun");
    const path = scope.path === "" ? `get-run ${runId}` : `${scope.path}/get-run ${runId}`;
    return await scope.run.host.call({ path, call: { kind: "get-run", runId } }, scope.signal);
  },
};

/** Gives a loaded value the type that it was saved with. The ref's hash guarantees that it is the saved value. */
function loadedValue<Value>(_ref: RefTo<Value>, value: unknown): Value {
  return value as Value;
}

/** Gives a stored value the type that its reader names. The store has checked its bytes. */
function keptValue<Value>(value: unknown): Value | undefined {
  return value as Value | undefined;
}
