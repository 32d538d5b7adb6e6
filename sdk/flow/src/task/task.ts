import { scopeFor } from "../engine/scope.ts";
import { InvalidDefinition } from "../problem.ts";
import { beginCall } from "../remote/begin.ts";
import { declareTask } from "../remote/declared.ts";
import type { Hashes } from "../store/hashes.ts";
import { registerThreadTask, type ThreadTask } from "../thread/registry.ts";
import { whereDefined } from "../where-defined.ts";
import { DataTimer } from "./data-timer.ts";
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

/** The function that runs a task in a thread. The first call loads the thread modules. */
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

/** A call in a thread returns a promise. Its callers await the result anyway. */
function answering<Args extends readonly unknown[], Result>(
  call: (...args: Args) => Promise<unknown>,
): (...args: Args) => Result {
  const any: unknown = call;
  return any as (...args: Args) => Result;
}

/** The arguments after the first. */
type More<Args extends readonly unknown[]> = Args extends readonly [unknown?, ...infer Rest]
  ? Rest
  : readonly unknown[];

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
   * results, or take them one by one: see `MapRun`. The item is the first argument. `args` has the others.
   * @example await score.map(rows, { args: [model], concurrency: 4 });
   */
  map(
    items: Iterable<Args[0]> | AsyncIterable<Args[0]>,
    options?: MapOptions<Args[0], Readonly<Partial<More<Args>>>>,
  ): MapRun<Args[0], Awaited<Result>>;
  /**
   * As `map`, with a list of all arguments for each call.
   * @example await copy.mapArgs([["a.csv", "b.csv"], ["c.csv", "d.csv"]]);
   */
  mapArgs(
    lists: Iterable<Args> | AsyncIterable<Args>,
    options?: Omit<MapOptions<Args>, "args">,
  ): MapRun<Args, Awaited<Result>>;
}

/** The identity of a call by its arguments. Trailing undefined arguments count as absent. */
function keyOfCall(
  options: TaskOptions,
  { args, hashes }: { args: readonly unknown[]; hashes: Hashes },
): CallKey {
  if (options.key !== undefined) return { kind: "given", key: options.key };
  const told = given(args);
  return told.length === 0
    ? { kind: "none" }
    : { kind: "hash", hash: hashInput({ what: `Task "${options.name}"`, hashes }, told) };
}

function given(args: readonly unknown[]): readonly unknown[] {
  return args.slice(0, args.findLastIndex((item) => item !== undefined) + 1);
}

/** A task with the function to call. */
interface Callable<Args extends readonly unknown[], Result> {
  readonly options: TaskOptions;
  /** The author's function. */
  readonly fn: (...args: Args) => Result;
  /** The function to call: that one, or the same in a thread. */
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
  // The only call of a run that is a remote task continues the timer that measured the load of its arguments.
  const data = (scope.path === "" && scope.data) || new DataTimer(scope.run.host.clock);
  const { hashes } = scope.run.host.store;
  const key = data.hashing(() => keyOfCall(options, { args, hashes }));
  const { path, settled } = scope.calls.name(options.name, key);
  const inputHash = () =>
    key.kind === "hash"
      ? key.hash
      : data.hashing(() => hashInput({ what: `Task "${options.name}"`, hashes }, given(args)));
  const upstream = scope.run.lineage.of(args);
  const made = { options, path, scope, data, args: given(args), upstream, source: fn, inputHash };
  const call = { ...made, fn: () => called(...args) };
  try {
    return await beginCall({ ...call, declared });
  } finally {
    settled();
  }
}

/**
 * Declares a task: a step of a flow with a name, retries and a time limit, whose calls are tracked. A call is
 * identified by its parent's path, the task's name, and its `key` or else the hash of its arguments.
 * @throws InvalidDefinition naming the invalid option.
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

/** The parts of a task. */
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
        throw new InvalidDefinition(`task "${options.name}": set thread where the task is declared.`);
      const { name, overrides: before } = declared;
      return taskOf({
        ...parts,
        options: changed,
        declared: { name, overrides: { ...before, ...overrides } },
      });
    },
    map: (items: Items<Args[0]>, mapOptions: MapOptions<Args[0]> = {}) =>
      mapTask({ options, fn: anyArguments(called), spreads: false, source: fn, declared }, items, mapOptions),
    mapArgs: (lists: Items<Args>, mapOptions: MapOptions<Args> = {}) =>
      mapTask({ options, fn: anyArguments(called), spreads: true, source: fn, declared }, lists, mapOptions),
  });
}

/** Calls a function with the arguments of a map, which have the types that its caller gave. */
function anyArguments<Args extends readonly unknown[], Result>(
  fn: (...args: Args) => Result,
): (...args: readonly unknown[]) => Result {
  const any: unknown = fn;
  return any as (...args: readonly unknown[]) => Result;
}
