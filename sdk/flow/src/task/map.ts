import { type Scope, scopeFor } from "../engine/scope.ts";
import { InvalidDefinition } from "../problem.ts";
import { beginCall, partOfRun, whileTaken } from "../remote/begin.ts";
import { DataTimer } from "./data-timer.ts";
import { hashInput } from "./input-hash.ts";
import { type MapOutcome, MapPump } from "./map-pump.ts";
import { type Items, type KeyOfItem, keyOfMap, mapItems } from "./map-source.ts";
import type { TaskOptions } from "./options.ts";
import type { DeclaredAs } from "./run-task.ts";

/** Default number of concurrent calls. */
const CONCURRENCY = 10;
const CONCURRENCY_MAX = 10_000;
/** Items per concurrent call, when results are taken one by one. */
const WINDOW_PER_CALL = 2;

/** How `.map` calls a task. */
export interface MapOptions<Item, More extends readonly unknown[] = readonly unknown[]> {
  /** The most concurrent calls. @default 10 */
  readonly concurrency?: number;
  /** Identity of an item's call within this map. @default its index */
  readonly key?: KeyOfItem<Item>;
  /** Further arguments, the same for every call. They follow the item. @default none */
  readonly args?: More;
}

/**
 * The running calls of one `.map`. Await it for all results in the items' order. After a failed call no further item
 * starts; the running calls end, then the first error is thrown.
 *
 * Or iterate over the results one by one. Then only a limited number of items is in memory, and items are taken as
 * results are consumed. Use one of these ways, once.
 */
export interface MapRun<Item, Result> extends Promise<Result[]>, AsyncIterable<Result> {
  /** All outcomes in the items' order, including failures. Rejects only if the run must stop or the items fail. */
  allSettled(): Promise<PromiseSettledResult<Result>[]>;
  /** Outcomes in the order in which calls end, including failures, each with its item and index. */
  settled(): AsyncGenerator<MapOutcome<Item, Result>, void, void>;
  /**
   * Results one by one in the items' order. Throws the first failure at its position, once the running calls have
   * ended.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Result, void, void>;
}

interface Mapped<Result> {
  readonly options: TaskOptions;
  readonly fn: (...args: readonly unknown[]) => Result;
  /** Whether each item is the list of all arguments of its call. */
  readonly spreads: boolean;
  /** The author's function. */
  readonly source: (...args: never[]) => unknown;
  readonly declared: DeclaredAs;
}

function checkConcurrency(name: string, concurrency: number): void {
  if (Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= CONCURRENCY_MAX) return;
  throw new InvalidDefinition(
    `task "${name}": concurrency of map must be a whole number from 1 to ${CONCURRENCY_MAX}.`,
  );
}

/** @throws InvalidDefinition if an item is not a list. Node strips types without checking them. */
function listOf(item: unknown): readonly unknown[] {
  if (Array.isArray(item)) return item;
  throw new InvalidDefinition(
    "mapArgs takes a list of arguments for each call: task.mapArgs([[1, 2], [3, 4]]).",
  );
}

type Pump<Item, Result> = MapPump<Item, Awaited<Result>>;

interface Begun<Item, Result> {
  readonly scope: Scope;
  readonly options: TaskOptions;
  readonly pump: Pump<Item, Result>;
  /** The path of the map, which its calls are below. */
  readonly path: string;
  /** Marks the call as ended in its parent. */
  readonly settled: () => void;
}

function begin<Item, Result>(
  mapped: Mapped<Result>,
  source: Items<Item>,
  { concurrency = CONCURRENCY, key, args: more = [] }: MapOptions<Item>,
): Begun<Item, Result> {
  const { options, source: written, declared } = mapped;
  const { name } = options;
  const scope = scopeFor(`Task "${name}"`);
  scope.signal.throwIfAborted();
  checkConcurrency(name, concurrency);
  const { hashes } = scope.run.host.store;
  const callKey = keyOfMap(options, { items: source, key, more, hashes });
  const call = scope.calls.name(name, callKey);
  const hashed = { what: `Task "${name}"`, hashes };
  // The same arguments of all calls are hashed once: they may be large.
  let moreHash: string | undefined;
  const inputHashOf = (item: Item) => {
    if (more.length === 0) return hashInput(hashed, mapped.spreads ? listOf(item) : [item]);
    moreHash ??= hashInput(hashed, more);
    return hashInput(hashed, [item, moreHash]);
  };
  const isHashed = callKey.kind === "hash" && key === undefined;
  const { lineage } = scope.run;
  const moreFrom = lineage.of(more);
  const pump = new MapPump<Item, Awaited<Result>>({
    items: whileTaken({ scope, options }, mapItems({ name, mapPath: call.path, items: source, key, hashes })),
    concurrency,
    window: concurrency * WINDOW_PER_CALL,
    signal: scope.signal,
    run: ({ item, path }) => {
      // The hash of all items identifies each of them.
      const data = new DataTimer(scope.run.host.clock);
      const inputHash = isHashed ? {} : { inputHash: () => data.hashing(() => inputHashOf(item)) };
      const args = mapped.spreads ? listOf(item) : [item, ...more];
      const upstream = [...lineage.ofItem(item, source), ...moreFrom];
      const made = { options, path, map: call.path, scope, data, args, upstream, source: written, declared };
      const one = { ...made, fn: () => mapped.fn(...args) };
      return beginCall({ ...one, ...inputHash });
    },
  });
  return { scope, options, pump, path: call.path, settled: call.settled };
}

/** Every outcome as it ends. Taking one makes room at once. */
async function* outcomes<Item, Result>(
  pump: MapPump<Item, Result>,
): AsyncGenerator<MapOutcome<Item, Result>, void, void> {
  try {
    for (let one = await pump.take(); one !== null; one = await pump.take()) {
      pump.release();
      yield one;
    }
  } finally {
    await pump.stop();
  }
}

/** All results in order, or the first failure once all running calls have ended. */
async function resultsOf<Item, Result>({
  pump,
  scope,
  path,
}: Begun<Item, Result>): Promise<Awaited<Result>[]> {
  const results: Awaited<Result>[] = scope.run.lineage.noteResults([], path);
  let failure: { error: unknown } | null = null;
  for await (const one of outcomes(pump)) {
    if (one.status === "fulfilled") results[one.index] = one.value;
    else {
      failure ??= { error: one.reason };
      pump.beginNoMore();
    }
  }
  if (failure) throw failure.error;
  return results;
}

async function settledOf<Item, Result>({
  pump,
  scope,
  path,
}: Begun<Item, Result>): Promise<PromiseSettledResult<Awaited<Result>>[]> {
  const all: PromiseSettledResult<Awaited<Result>>[] = scope.run.lineage.noteResults([], path);
  for await (const one of outcomes(pump))
    all[one.index] =
      one.status === "fulfilled"
        ? { status: one.status, value: one.value }
        : { status: one.status, reason: one.reason };
  scope.signal.throwIfAborted();
  return all;
}

/** Results in the items' order, one at a time. Each one that was taken makes room. */
async function* inOrder<Item, Result>(pump: MapPump<Item, Result>): AsyncGenerator<Result, void, void> {
  // A ring of slots, one per item in memory. A `Map` would keep removed entries: see OpenSet.
  const waiting: (MapOutcome<Item, Result> | undefined)[] = Array.from({ length: pump.window });
  const slotOf = (index: number) => index % pump.window;
  let nextIndex = 0;
  try {
    for (let one = await pump.take(); one !== null; one = await pump.take()) {
      if (one.status === "rejected") pump.beginNoMore();
      waiting[slotOf(one.index)] = one;
      for (let due = waiting[slotOf(nextIndex)]; due !== undefined; due = waiting[slotOf(++nextIndex)]) {
        waiting[slotOf(nextIndex)] = undefined;
        if (due.status === "rejected") throw due.reason;
        pump.release();
        yield due.value;
      }
    }
  } finally {
    await pump.stop();
  }
}

/** A generator of a map's results, which ends the map call with itself. */
function endingWith<Value>(
  { scope, path, settled }: Pick<Begun<never, never>, "scope" | "path" | "settled">,
  values: AsyncGenerator<Value, void, void>,
): AsyncGenerator<Value, void, void> {
  return scope.run.lineage.noteResults(ending({ settled }, values), path);
}

async function* ending<Value>(
  begun: { readonly settled: () => void },
  values: AsyncGenerator<Value, void, void>,
): AsyncGenerator<Value, void, void> {
  try {
    yield* values;
  } finally {
    begun.settled();
  }
}

class MapCall<Item, Result> implements MapRun<Item, Awaited<Result>> {
  readonly [Symbol.toStringTag] = "MapRun";
  readonly #name: string;
  readonly #begun: Begun<Item, Result> | { readonly error: unknown };
  #results: Promise<Awaited<Result>[]> | null = null;
  #isTaken = false;

  constructor(mapped: Mapped<Result>, source: Items<Item>, options: MapOptions<Item>) {
    this.#name = mapped.options.name;
    try {
      this.#begun = begin(mapped, source, options);
    } catch (error) {
      this.#begun = { error };
    }
    // Like any task call, it starts without being awaited, unless its results are iterated at once.
    queueMicrotask(() => this.#isTaken || void this.#whole());
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise that begins only when nobody takes results in another way.
  then<A = Awaited<Result>[], B = never>(
    onResults?: ((results: Awaited<Result>[]) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#whole().then(onResults, onError);
  }

  catch<B = never>(
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<Awaited<Result>[] | B> {
    return this.#whole().catch(onError);
  }

  finally(onEnd?: (() => void) | null): Promise<Awaited<Result>[]> {
    return this.#whole().finally(onEnd);
  }

  async allSettled(): Promise<PromiseSettledResult<Awaited<Result>>[]> {
    const begun = this.#taken();
    return await partOfRun(begun, settledOf(begun).finally(begun.settled));
  }

  settled(): AsyncGenerator<MapOutcome<Item, Awaited<Result>>, void, void> {
    const begun = this.#taken();
    return endingWith(begun, outcomes(begun.pump));
  }

  [Symbol.asyncIterator](): AsyncGenerator<Awaited<Result>, void, void> {
    const begun = this.#taken();
    return endingWith(begun, inOrder(begun.pump));
  }

  #whole(): Promise<Awaited<Result>[]> {
    this.#results ??= this.#allResults();
    return this.#results;
  }

  async #allResults(): Promise<Awaited<Result>[]> {
    const begun = this.#taken();
    return await partOfRun(begun, resultsOf(begun).finally(begun.settled));
  }

  /** @throws InvalidDefinition if results are taken a second time: each time would run the calls again. */
  #taken(): Begun<Item, Result> {
    if ("error" in this.#begun) {
      this.#isTaken = true;
      throw this.#begun.error;
    }
    if (this.#isTaken)
      throw new InvalidDefinition(
        `task "${this.#name}": the results of one map were read twice; read them once, as soon as map returns.`,
      );
    this.#isTaken = true;
    return this.#begun;
  }
}

/** Calls a task once for each item: see `Task.map`. */
export function mapTask<Item, Result>(
  mapped: Mapped<Result>,
  source: Items<Item>,
  options: MapOptions<Item>,
): MapRun<Item, Awaited<Result>> {
  return new MapCall(mapped, source, options);
}
