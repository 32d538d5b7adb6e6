import type { CalledRun, Ref } from "@towpath/contract";
import { keepProgress, progressKept } from "../keep/progress.ts";
import { ChildFailed } from "../problem.ts";
import { type Codec, encode } from "../store/codec.ts";
import { outsideOfTasks, runEnded } from "../suspend/wait-for.ts";
import { hashInput } from "../task/input-hash.ts";
import { type Due, dueOf } from "./due.ts";
import { type Scope, scopeFor } from "./scope.ts";

declare const VALUE: unique symbol;

/** A ref that remembers, for the compiler alone, what it refers to. */
export interface RefTo<Value> extends Ref {
  readonly [VALUE]?: Value;
}

/** How a child is started. */
export interface ChildOptions {
  /** What tells this call apart. @default a hash of the parameters */
  readonly key?: string;
  /** What becomes of the child if this run ends before it. */
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
  /** When the run was due: what a flow should call "now" if it works on a stretch of time. */
  readonly scheduledAt: Date;
  /** The instant of a schedule that the run is for, and its data interval; null if it is for none. */
  readonly due: Due | null;
  /** Path of the task run, or null in the flow's own function. */
  readonly taskPath: string | null;
  /** Aborts on cancellation and, in a task, when its time is up. Pass it to whatever waits. */
  readonly signal: AbortSignal;
  /**
   * Keeps a value in the store on this side; only the ref can leave.
   * @param options.codec By default bytes for byte arrays, text for strings, json for anything else.
   * @throws NotSerialisable | StoreFault
   */
  save<Value>(name: string, value: Value, options?: { codec?: Codec }): Promise<RefTo<Value>>;
  /**
   * Reads a value back, checked against its hash, from this store only.
   * @throws StoreFault
   */
  load<Value>(ref: RefTo<Value>): Promise<Value>;
  /**
   * Keeps progress inside a task: a later try or attempt goes on from it with `kept`. The latest value under a name counts.
   * Resolves once it is in the store and in the worker's journal. Inside the flow's own function it belongs to the run.
   * @throws NotSerialisable | StoreFault
   */
  keep(name: string, value: unknown): Promise<void>;
  /** What was last kept under this name in this task call, by this or an earlier attempt of the run; else undefined. */
  kept<Value>(name: string): Promise<Value | undefined>;
  /**
   * Starts a run of another deployment, once: the same call in a repeated run of this flow is the same child.
   * The deployment must be in this one's `mayStart`.
   * @param options.onParentEnd What becomes of the child if this run ends before it. @default "abandon"
   * @throws CallRefused if the control plane does not allow it.
   */
  startRun(deployment: string, parameters?: RunParameters, options?: ChildOptions): Promise<CalledRun>;
  /**
   * Starts a run of another deployment as `startRun` does, and waits for its end; the run is suspended meanwhile if nothing
   * else of it is at work. Only in the flow's own function.
   * @param options.onParentEnd What becomes of the child if this run ends before it. @default "cancel"
   * @returns What the child returned.
   * @throws ChildFailed if it did not complete; SuspendInTask in a task.
   */
  runChild(deployment: string, parameters?: RunParameters, options?: ChildOptions): Promise<unknown>;
  /** How a run stands. */
  getRun(runId: string): Promise<CalledRun>;
}

function here(member: string): Scope {
  return scopeFor(`ctx.${member}`);
}

/** JSON as it will be on the wire: refuses what cannot be. */
function asJson(value: RunParameters): Record<string, never> {
  return JSON.parse(new TextDecoder().decode(encode(value, { codec: "json", name: "parameters" })));
}

async function startRun(
  scope: Scope,
  args: { readonly deployment: string; readonly parameters: RunParameters } & ChildOptions,
): Promise<CalledRun> {
  const { deployment, key, onParentEnd = "abandon" } = args;
  const wire = asJson(args.parameters);
  const callKey =
    key === undefined
      ? ({ kind: "hash", hash: hashInput({ what: `ctx.startRun "${deployment}"` }, [wire]) } as const)
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

/** Starts a child and waits for its end. */
async function runChild(
  deployment: string,
  parameters: RunParameters,
  options: ChildOptions,
): Promise<unknown> {
  const scope = outsideOfTasks("ctx.runChild");
  const started = await startRun(scope, { deployment, parameters, onParentEnd: "cancel", ...options });
  const ended = await runEnded(scope, started.runId);
  if (ended.state !== "completed") throw new ChildFailed({ ...ended, what: `"${deployment}"` });
  return ended.result === null ? undefined : await scope.run.host.store.load(ended.result);
}

/**
 * The run that the calling code is part of, wherever that code is; also a flow function's second argument.
 * Its members throw `OutsideOfRun` when no flow is running.
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
    const { run, path } = here("save");
    const place = { runId: run.host.facts.runId, attempt: run.host.facts.attempt, task: path, name };
    return await run.host.store.save(place, value, options.codec);
  },
  async load<Value>(ref: RefTo<Value>): Promise<Value> {
    return loadedValue(ref, await here("load").run.host.store.load(ref));
  },
  keep: (name, value) => keepProgress(here("keep"), { name, value }),
  async kept<Value>(name: string): Promise<Value | undefined> {
    return keptValue<Value>(await progressKept(here("kept"), name));
  },
  startRun: async (deployment, parameters = {}, options = {}) =>
    await startRun(here("startRun"), { deployment, parameters, ...options }),
  runChild: (deployment, parameters = {}, options = {}) => runChild(deployment, parameters, options),
  async getRun(runId) {
    const scope = here("getRun");
    const path = scope.path === "" ? `get-run ${runId}` : `${scope.path}/get-run ${runId}`;
    return await scope.run.host.call({ path, call: { kind: "get-run", runId } }, scope.signal);
  },
};

/** A loaded value by the type its ref was saved with: the ref's hash says that it is the value saved. */
function loadedValue<Value>(_ref: RefTo<Value>, value: unknown): Value {
  return value as Value;
}

/** What was kept, by the type that its reader says it was kept with: the store has checked that the bytes are those. */
function keptValue<Value>(value: unknown): Value | undefined {
  return value as Value | undefined;
}
