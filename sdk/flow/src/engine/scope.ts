import { AsyncLocalStorage } from "node:async_hooks";
import type { Checkpoints } from "../checkpoint/checkpoints.ts";
import { OutsideOfRun } from "../problem.ts";
import { Waits } from "../suspend/waits.ts";
import { inOwnBranch } from "../task/branch.ts";
import type { DataTimer } from "../task/data-timer.ts";
import type { CallLedger } from "../task/identity.ts";
import { Lineage } from "../task/lineage.ts";
import { Endings } from "./endings.ts";
import { Failures } from "./failures.ts";
import type { Host } from "./host.ts";
import { OpenSet } from "./open-set.ts";

/** A run in this process before anything has started. */
export function activeRun(args: {
  readonly flow: string;
  readonly host: Host;
  readonly checkpoints: Checkpoints;
  readonly signal: AbortSignal;
  readonly ended: AbortSignal;
  readonly fail?: (error: unknown) => void;
}): ActiveRun {
  const sets = {
    open: new OpenSet<Promise<unknown>>(),
    elsewhere: new OpenSet<Promise<unknown>>(),
    cleanups: new OpenSet<Promise<unknown>>(),
  };
  return {
    ...args,
    ...sets,
    resources: new Map<object, Promise<unknown>>(),
    endings: new Endings(),
    failures: new Failures(),
    lineage: new Lineage(),
    waits: new Waits(args.host, sets),
    whenSuspended: new OpenSet<() => Promise<void>>(),
  };
}

/** One run in this process. */
export interface ActiveRun {
  readonly flow: string;
  readonly host: Host;
  readonly checkpoints: Checkpoints;
  /** Aborts when the run must stop. */
  readonly signal: AbortSignal;
  /** Makes the run fail with this error, even if the flow catches it. Missing if this process does not end the run. */
  readonly fail?: (error: unknown) => void;
  /** Aborts when the run has ended. Code that is still running can start nothing more in it. */
  readonly ended: AbortSignal;
  /** Task calls that have not settled. The run waits for each before it ends. */
  readonly open: OpenSet<Promise<unknown>>;
  /** Calls of tasks that run in other pools. The run waits for them before it ends, and may be suspended meanwhile. */
  readonly elsewhere: OpenSet<Promise<unknown>>;
  /** Tear-downs that are running. The run waits for them even if it must stop. Each has a time limit. */
  readonly cleanups: OpenSet<Promise<unknown>>;
  /** Failed task calls and their errors. */
  readonly failures: Failures;
  /** Which calls returned which values. */
  readonly lineage: Lineage;
  /** Opened resources and their values. */
  readonly resources: Map<object, Promise<unknown>>;
  /** Clean-up that runs before the run ends. */
  readonly endings: Endings;
  /** Waits of the flow's function, other than tasks. */
  readonly waits: Waits;
  /** Stores the progress of the call if this is not the run's own thread. */
  readonly progress?: {
    readonly keep: (name: string, value: unknown) => Promise<void>;
    readonly kept: (name: string) => Promise<unknown>;
  };
  /** Clean-up for a suspension, run in reverse order. Code that cleans up before removes its entry. */
  readonly whenSuspended: OpenSet<() => Promise<void>>;
}

/** The part of a run that the current code belongs to: the flow's function, or one try of a task. */
export interface Scope {
  readonly run: ActiveRun;
  /** Path of the task run, empty in the flow's own function. */
  readonly path: string;
  /** Aborts when the run, or this try, must stop. */
  readonly signal: AbortSignal;
  readonly calls: CallLedger;
  /** Whether task calls run again even if an earlier attempt has their result. */
  readonly anew?: boolean;
  /** Measures the data of the task call. Missing in a flow's own function. */
  readonly data?: DataTimer;
}

const KEY = Symbol.for("towpath.scope");

/** Global, so that two copies of this package in one process see the same run. */
function scopes(): AsyncLocalStorage<Scope> {
  const home: typeof globalThis & { [KEY]?: AsyncLocalStorage<Scope> } = globalThis;
  home[KEY] ??= new AsyncLocalStorage<Scope>();
  return home[KEY];
}

/** Runs a function in a scope. Everything that it awaits is in this scope too. */
export function inScope<Result>(scope: Scope, fn: () => Result): Result {
  return scopes().run(scope, () => inOwnBranch(fn));
}

/** The scope of the calling code, or null outside of a run. */
export function currentScope(): Scope | null {
  return scopes().getStore() ?? null;
}

/**
 * The scope of the calling code.
 * @throws OutsideOfRun outside of a run; Cancelled after the run has ended.
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

/** Adds a promise to the run until it settles. The run does not end before. */
export function tracked<Result>(scope: Scope, work: Promise<Result>): Promise<Result> {
  const done = scope.run.open.add(work);
  work.then(done, done);
  return work;
}

/** Like `tracked`, but the run may be suspended while the promise is pending. */
export function trackedElsewhere<Result>(scope: Scope, work: Promise<Result>): Promise<Result> {
  const done = scope.run.elsewhere.add(work);
  work.then(done, done);
  return work;
}
