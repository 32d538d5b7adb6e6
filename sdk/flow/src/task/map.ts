import { type Scope, scopeFor, tracked } from "../engine/scope.ts";
import { InvalidDefinition } from "../problem.ts";
import { type CallKey, mappedPath } from "./identity.ts";
import { hashInput } from "./input-hash.ts";
import type { TaskOptions } from "./options.ts";
import { runTask } from "./run-task.ts";

/** How many mapped calls run at once unless told otherwise. */
const CONCURRENCY = 10;
const CONCURRENCY_MAX = 10_000;
/** The most items of one `.map` call. */
const ITEMS_MAX = 100_000;

/** How `.map` calls a task. */
export interface MapOptions<Item> {
  /** Calls under way at once. @default 10 */
  readonly concurrency?: number;
  /** Identity of an item's call within this map. @default its index */
  readonly key?: (item: Item, index: number) => string;
}

interface Mapped<Item, Result> {
  readonly options: TaskOptions;
  readonly fn: (item: Item) => Result;
}

function checkMap(name: string, concurrency: number, items: readonly unknown[]): void {
  const whole = Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= CONCURRENCY_MAX;
  if (!whole)
    throw new InvalidDefinition(
      `task "${name}": concurrency of map must be a whole number from 1 to ${CONCURRENCY_MAX}.`,
    );
  if (items.length > ITEMS_MAX)
    throw new InvalidDefinition(
      `task "${name}": map takes at most ${ITEMS_MAX} items, not ${items.length}; give each call a batch.`,
    );
}

/** With a key for each item the items' keys are the input that matters: large items are then not hashed. */
function keyOfMap(options: TaskOptions, items: readonly unknown[], keys: readonly string[] | null): CallKey {
  if (options.key !== undefined) return { kind: "given", key: options.key };
  return { kind: "hash", hash: hashInput(`${options.name}.map`, [{ map: keys ?? items }]) };
}

function childPaths(mapPath: string, count: number, keys: readonly string[] | null): string[] {
  const seen = new Map<string, number>();
  return Array.from({ length: count }, (_, index) => {
    const key = keys?.[index] ?? null;
    const ordinal = key === null ? 1 : (seen.get(key) ?? 0) + 1;
    if (key !== null) seen.set(key, ordinal);
    return mappedPath(mapPath, { index, key, ordinal });
  });
}

interface Lanes<Item> {
  readonly items: Iterable<Item>;
  readonly concurrency: number;
  readonly signal: AbortSignal;
}

/** Lanes share one iterator; each takes the next item until none is left or one has failed. Ends when all have ended. */
async function inLanes<Item>(lanes: Lanes<Item>, one: (item: Item) => Promise<void>): Promise<void> {
  const rest = lanes.items[Symbol.iterator]();
  const failures: { error: unknown }[] = [];
  const lane = async () => {
    for (let next = rest.next(); !next.done && failures.length === 0; next = rest.next()) {
      try {
        lanes.signal.throwIfAborted();
        await one(next.value);
      } catch (error) {
        failures.push({ error });
      }
    }
  };
  await Promise.all(Array.from({ length: lanes.concurrency }, lane));
  const [first] = failures;
  if (first) throw first.error;
}

interface MapCall<Item, Result> extends Mapped<Item, Result> {
  readonly items: readonly Item[];
  readonly paths: readonly string[];
  readonly scope: Scope;
  readonly concurrency: number;
}

async function runMapped<Item, Result>(call: MapCall<Item, Result>): Promise<Awaited<Result>[]> {
  const { options, fn, scope } = call;
  const results: Awaited<Result>[] = [];
  const entries = call.paths.map((path, index) => ({ path, index }));
  const concurrency = Math.min(call.concurrency, entries.length);
  await inLanes({ items: entries, concurrency, signal: scope.signal }, async ({ path, index }) => {
    const item = itemAt(call.items, index);
    results[index] = await runTask({ options, path, scope, fn: () => fn(item) });
  });
  return results;
}

/** The item at an index that is known to be in range, whatever its type, undefined included. */
function itemAt<Item>(items: readonly Item[], index: number): Item {
  return items[index] as Item;
}

/** Calls a task once for each item: see `Task.map`. */
export async function mapTask<Item, Result>(
  mapped: Mapped<Item, Result>,
  source: Iterable<Item>,
  options: MapOptions<Item>,
): Promise<Awaited<Result>[]> {
  const { name } = mapped.options;
  const scope = scopeFor(`Task "${name}"`);
  scope.signal.throwIfAborted();
  const items = Array.from(source);
  const { concurrency = CONCURRENCY, key } = options;
  checkMap(name, concurrency, items);
  const keys = key ? items.map((item, index) => key(item, index)) : null;
  const call = scope.calls.name(name, keyOfMap(mapped.options, items, keys));
  const paths = childPaths(call.path, items.length, keys);
  try {
    return await tracked(scope, runMapped({ ...mapped, items, paths, scope, concurrency }));
  } finally {
    call.settled();
  }
}
