import { scopeFor } from "../engine/scope.ts";
import { InvalidDefinition } from "../problem.ts";
import { beginCall } from "../remote/begin.ts";
import { declareTask } from "../remote/declared.ts";
import { registerThreadTask, type ThreadTask } from "../thread/registry.ts";
import { whereDefined } from "../where-defined.ts";
import type { CallKey } from "./identity.ts";
import { hashInput } from "./input-hash.ts";
import { type MapOptions, type MapRun, mapTask } from "./map.ts";
import type { Items } from "./map-source.ts";
import { checkTaskOptions, type TaskOptions } from "./options.ts";
import type { DeclaredAs } from "./run-task.ts";
import { TIMEOUT_GRACE_MS } from "./time-limit.ts";

interface ThreadOptions {
  readonly name: string;
  readonly timeoutGraceMs?: number;
}

/** The function that calls another in a thread. The threads' own modules are loaded by the first call. */
export function calledInThread<Args extends readonly unknown[], Result>(
  task: ThreadTask,
  { name, timeoutGraceMs = TIMEOUT_GRACE_MS }: ThreadOptions,
): (...args: Args) => Result {
  const call = async (...args: Args): Promise<unknown> => {
    const scope = scopeFor(`Task "${name}"`);
    const { runInPool } = await import("../thread/pool.ts");
    return await runInPool({ task, name, args, scope, timeoutGraceMs });
  };
  return answering(call);
}

/** A call in a thread answers what the function there returns, later: which its callers, who await it, do not notice. */
function answering<Args extends readonly unknown[], Result>(
  call: (...args: Args) => Promise<unknown>,
): (...args: Args) => Result {
  const any: unknown = call;
  return any as (...args: Args) => Result;
}

/** A declared task: call it in a flow like the function it wraps. */
export interface Task<Args extends readonly unknown[], Result> {
  (...args: Args): Promise<Awaited<Result>>;
  readonly options: TaskOptions;
  /** The plain function, without retries, limits or records: for unit tests. */
  readonly fn: (...args: Args) => Result;
  /** The same task with some options changed, for one call or for many. */
  with(overrides: Partial<TaskOptions>): Task<Args, Result>;
  /**
   * Calls the task once for each item of a collection or iterator, at most `concurrency` at a time. Await it for all
   * results, or take them one by one: see `MapRun`.
   */
  map(
    items: Iterable<Args[0]> | AsyncIterable<Args[0]>,
    options?: MapOptions<Args[0]>,
  ): MapRun<Args[0], Awaited<Result>>;
}

/** Identity of a call by its arguments; trailing arguments left undefined count as not given. */
function keyOfCall(options: TaskOptions, args: readonly unknown[]): CallKey {
  if (options.key !== undefined) return { kind: "given", key: options.key };
  const told = given(args);
  return told.length === 0
    ? { kind: "none" }
    : { kind: "hash", hash: hashInput({ what: `Task "${options.name}"` }, told) };
}

function given(args: readonly unknown[]): readonly unknown[] {
  return args.slice(0, args.findLastIndex((item) => item !== undefined) + 1);
}

/** A task as it is called. */
interface Callable<Args extends readonly unknown[], Result> {
  readonly options: TaskOptions;
  /** The function as it was written. */
  readonly fn: (...args: Args) => Result;
  /** What is called: that function, or the same in a thread. */
  readonly called: (...args: Args) => Result;
  readonly declared: DeclaredAs;
}

async function callTask<Args extends readonly unknown[], Result>(
  task: Callable<Args, Result>,
  args: Args,
): Promise<Awaited<Result>> {
  const scope = scopeFor(
    `Task "${task.options.name}"`,
    "Call it inside a flow's function; in a unit test call its plain function, task.fn(…).",
  );
  scope.signal.throwIfAborted();
  const { options, fn, called, declared } = task;
  const key = keyOfCall(options, args);
  const { path, settled } = scope.calls.name(options.name, key);
  const inputHash = () =>
    key.kind === "hash" ? key.hash : hashInput({ what: `Task "${options.name}"` }, given(args));
  const call = { options, path, scope, args: given(args), fn: () => called(...args), source: fn, inputHash };
  try {
    return await beginCall({ ...call, declared });
  } finally {
    settled();
  }
}

/**
 * Declares a task: a step of flows with a name, retries and a time limit of its own, whose runs are followed one by one.
 * Its identity in a run is its parent's path, its name, and its `key` or else the hash of its arguments.
 * @throws InvalidDefinition naming the option that makes no sense.
 * @example const clean = task({ name: "clean", retries: 2 }, async (rows: Row[]) => rows.filter(isWhole));
 */
export function task<Args extends readonly unknown[], Result>(
  options: TaskOptions,
  fn: (...args: Args) => Result,
): Task<Args, Result> {
  const checked = checkTaskOptions({ ...options });
  const inThread = checked.thread === true ? registerThreadTask(checked.name, whereDefined(), fn) : null;
  const made = taskOf({ options: checked, fn, inThread, declared: { name: checked.name, overrides: {} } });
  declareTask(checked.name, made);
  return made;
}

/** What a task is made of. */
interface Parts<Args extends readonly unknown[], Result> {
  readonly options: TaskOptions;
  readonly fn: (...args: Args) => Result;
  readonly inThread: ThreadTask | null;
  readonly declared: DeclaredAs;
}

function taskOf<Args extends readonly unknown[], Result>(parts: Parts<Args, Result>): Task<Args, Result> {
  const { options, fn, inThread, declared } = parts;
  const called = inThread ? calledInThread<Args, Result>(inThread, options) : fn;
  const callable = { options, fn, called, declared };
  const call = (...args: Args) => callTask(callable, args);
  return Object.assign(call, {
    options,
    fn,
    with: (overrides: Partial<TaskOptions>) => {
      const changed = checkTaskOptions({ ...options, ...overrides });
      if ((changed.thread ?? false) !== (options.thread ?? false))
        throw new InvalidDefinition(`task "${options.name}": thread is said where the task is declared.`);
      const { name, overrides: before } = declared;
      return taskOf({
        ...parts,
        options: changed,
        declared: { name, overrides: { ...before, ...overrides } },
      });
    },
    map: (items: Items<Args[0]>, mapOptions: MapOptions<Args[0]> = {}) =>
      mapTask({ options, fn: firstArgument(called), source: fn, declared }, items, mapOptions),
  });
}

/** Calls a function with one argument; its others, if any, are then undefined, as `.map` documents by its type. */
function firstArgument<Args extends readonly unknown[], Result>(
  fn: (...args: Args) => Result,
): (item: Args[0]) => Result {
  const single: unknown = fn;
  return single as (item: Args[0]) => Result;
}
