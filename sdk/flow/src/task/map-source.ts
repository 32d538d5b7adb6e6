import { InvalidDefinition } from "../problem.ts";
import type { Hashes } from "../store/hashes.ts";
import { type CallKey, mappedPath } from "./identity.ts";
import { hashInput } from "./input-hash.ts";
import { KeyCounter } from "./key-counter.ts";
import type { TaskOptions } from "./options.ts";

/** The most items of one `.map` call, to end an endless iterator. */
const ITEMS_MAX = 10_000_000;

const MAP_NEXT =
  "Pass plain data, give the class a toJSON(), or name each item: task.map(items, { key: (item) => … }).";

/** What `.map` takes items from, one by one. */
export type Items<Item> = Iterable<Item> | AsyncIterable<Item>;

/** Names an item's call within its map. */
export type KeyOfItem<Item> = (item: Item, index: number) => string;

/** One item with the path of its call. */
export interface MapItem<Item> {
  readonly item: Item;
  readonly index: number;
  readonly path: string;
}

/** Collections that can be read twice: for their identity and for their items. */
function isCollection<Item>(items: Items<Item>): items is Iterable<Item> {
  return Array.isArray(items) || items instanceof Set || items instanceof Map || ArrayBuffer.isView(items);
}

/**
 * The identity of a map call: its task's `key`, else the hash of a collection's items, or of their keys if `key` is
 * given, so that large items are not hashed, and of the arguments that all calls share. The items of an iterator are not known yet, so such a call has only its
 * ordinal, which is refused in concurrent branches.
 */
export function keyOfMap<Item>(
  options: TaskOptions,
  args: {
    readonly items: Items<Item>;
    readonly key: KeyOfItem<Item> | undefined;
    readonly more: readonly unknown[];
    readonly hashes: Hashes;
  },
): CallKey {
  const { items, key, more, hashes } = args;
  if (options.key !== undefined) return { kind: "given", key: options.key };
  if (!isCollection(items)) return { kind: "none" };
  // Only the items of the collection count.
  const told = Array.from(items);
  const map = key ? told.map((item, index) => key(item, index)) : told;
  const hash = hashInput({ what: `Task "${options.name}"`, next: MAP_NEXT, hashes }, [{ map }, ...more]);
  return { kind: "hash", hash };
}

/** Gives each item its path. It stores a few bytes per key, and nothing if items are identified by index. */
class Namer<Item> {
  readonly #mapPath: string;
  readonly #key: KeyOfItem<Item> | undefined;
  readonly #hashes: Hashes;
  readonly #seen = new KeyCounter();

  constructor(args: { mapPath: string; key: KeyOfItem<Item> | undefined; hashes: Hashes }) {
    this.#mapPath = args.mapPath;
    this.#key = args.key;
    this.#hashes = args.hashes;
  }

  pathOf(item: Item, index: number): string {
    const [key, hashes] = [this.#key?.(item, index) ?? null, this.#hashes];
    const ordinal = key === null ? 1 : this.#seen.count(key);
    return mappedPath(this.#mapPath, { index, key, ordinal, hashes });
  }
}

function iteratorOf<Item>(items: Items<Item>): Iterator<Item> | AsyncIterator<Item> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
}

/**
 * The items of a map call with their paths, one at a time.
 * @throws InvalidDefinition beyond ITEMS_MAX.
 */
export async function* mapItems<Item>(args: {
  readonly name: string;
  readonly mapPath: string;
  readonly items: Items<Item>;
  readonly key: KeyOfItem<Item> | undefined;
  readonly hashes: Hashes;
}): AsyncGenerator<MapItem<Item>, void, void> {
  const namer = new Namer(args);
  const iterator = iteratorOf(args.items);
  let isOver = false;
  try {
    for (let index = 0; ; index++) {
      const step = await iterator.next();
      isOver = step.done === true;
      if (step.done === true) return;
      const { value } = step;
      if (index >= ITEMS_MAX)
        throw new InvalidDefinition(
          `task "${args.name}": map takes at most ${ITEMS_MAX} items; give each call a batch.`,
        );
      yield { item: value, index, path: namer.pathOf(value, index) };
    }
  } finally {
    if (!isOver) await iterator.return?.();
  }
}
