import { AsyncLocalStorage } from "node:async_hooks";
import type { Checkpoints } from "../checkpoint/checkpoints.ts";
import { OutsideOfRun } from "../problem.ts";
import type { Waits } from "../suspend/waits.ts";
import { inOwnBranch } from "../task/branch.ts";
import type { CallLedger } from "../task/identity.ts";
import type { Endings } from "./endings.ts";
import type { Failures } from "./failures.ts";
import type { Host } from "./host.ts";
import type { OpenSet } from "./open-set.ts";

/** One run in this process. */
export interface ActiveRun {
  readonly flow: string;
  readonly host: Host;
  readonly checkpoints: Checkpoints;
  /** Aborts when the run is to stop. */
  readonly signal: AbortSignal;
  /** Has the run fail by an error, whatever the flow makes of it. Missing where the run is not this process's to end. */
  readonly fail?: (error: unknown) => void;
  /** Aborts when the run is over: code that lives on after it must not begin anything in its name. */
  readonly ended: AbortSignal;
  /** Promises of task calls that have not settled, each of which the run waits for before it ends. */
  readonly open: OpenSet<Promise<unknown>>;
  /** Calls of tasks that are at work in other pools: the run does not end before them, and may be suspended over them. */
  readonly elsewhere: OpenSet<Promise<unknown>>;
  /** Tear-downs under way, which the run waits for although it is to stop; each ends in a time of its own. */
  readonly cleanups: OpenSet<Promise<unknown>>;
  /** Which calls of tasks have failed, and with what. */
  readonly failures: Failures;
  /** What resources were opened to, by the resource. */
  readonly resources: Map<object, Promise<unknown>>;
  /** What is undone before the run ends. */
  readonly endings: Endings;
  /** What the flow's function awaits beside its tasks. */
  readonly waits: Waits;
  /** Who keeps the progress of the call where this is not the run's own thread. */
  readonly progress?: {
    readonly keep: (name: string, value: unknown) => Promise<void>;
    readonly kept: (name: string) => Promise<unknown>;
  };
  /** What is undone when the run is suspended, the latest first. Code that undoes it earlier removes it. */
  readonly whenSuspended: OpenSet<() => Promise<void>>;
}

/** Where in a run the current code stands: in the flow's function, or in one try of a task. */
export interface Scope {
  readonly run: ActiveRun;
  /** Path of the task run, empty in the flow's own function. */
  readonly path: string;
  /** Aborts when the run, or this try, is to stop. */
  readonly signal: AbortSignal;
  readonly calls: CallLedger;
  /** Whether task calls run again although an earlier attempt has a result of them. */
  readonly anew?: boolean;
}

const KEY = Symbol.for("towpath.scope");

/** Kept on the global object: two copies of this package in one process must see the same run. */
function scopes(): AsyncLocalStorage<Scope> {
  const home: typeof globalThis & { [KEY]?: AsyncLocalStorage<Scope> } = globalThis;
  home[KEY] ??= new AsyncLocalStorage<Scope>();
  return home[KEY];
}

/** Runs a function in a scope; everything it awaits stays in it. */
export function inScope<Result>(scope: Scope, fn: () => Result): Result {
  return scopes().run(scope, () => inOwnBranch(fn));
}

/** The scope of the calling code, or null outside of a run. */
export function currentScope(): Scope | null {
  return scopes().getStore() ?? null;
}

/**
 * The scope of the calling code.
 * @throws OutsideOfRun naming what was used and what to do; Cancelled where the run has ended.
 */
export function scopeFor(what: string, next = "Use it inside a flow's function."): Scope {
  const scope = currentScope();
  if (scope === null) throw new OutsideOfRun(what, next);
  scope.run.ended.throwIfAborted();
  return scope;
}

/** The task path of a scope as records carry it. */
export function taskOf(scope: Scope): { task?: string } {
  return scope.path === "" ? {} : { task: scope.path };
}

/** Counts a promise as part of the run until it settles: the run does not end before it. */
export function tracked<Result>(scope: Scope, work: Promise<Result>): Promise<Result> {
  const done = scope.run.open.add(work);
  work.then(done, done);
  return work;
}

/** Counts a promise as part of the run, as `tracked`, but as one that it may be suspended over. */
export function trackedElsewhere<Result>(scope: Scope, work: Promise<Result>): Promise<Result> {
  const done = scope.run.elsewhere.add(work);
  work.then(done, done);
  return work;
}
