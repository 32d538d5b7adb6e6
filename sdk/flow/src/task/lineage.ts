import { types } from "node:util";
import type { Upstream } from "@towpath/contract";
import { isRef, LIMITS } from "@towpath/contract/words";
import { isPlain } from "../store/data.ts";

/** The most values that one search looks at: the arguments of a call, or its result. */
const VISITS_MAX = 1_000;
/** The most refs with known producers. The oldest are forgotten first. */
const REFS_MAX = 10_000;

/** A call that returned a value. */
export interface Producer {
  readonly path: string;
  /** The path of the map that made the call. Absent: the flow or a task made it directly. */
  readonly map?: string;
}

/** Whether a search looks inside an object. `uri` is the address of a ref, or null for any other object. */
type Look = (value: object, uri: string | null) => boolean;

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** The value of a field. No accessor runs. */
function fieldOf(value: object, key: string | number): unknown {
  return Object.getOwnPropertyDescriptor(value, key)?.value;
}

/** Searches values level by level, up to VISITS_MAX. It looks inside plain objects, arrays, maps and sets. */
class Search {
  readonly #objects = new Set<object>();
  readonly #look: Look;
  #left = VISITS_MAX;

  constructor(look: Look) {
    this.#look = look;
  }

  run(roots: readonly unknown[]): void {
    this.#addAll(roots);
    // A set is iterated in the order of its entries, with those that are added meanwhile.
    for (const value of this.#objects) this.#visit(value);
  }

  #visit(value: object): void {
    if (types.isProxy(value)) {
      this.#look(value, null);
      return;
    }
    if (Array.isArray(value)) {
      if (this.#look(value, null)) this.#addItems(value);
    } else if (types.isMap(value)) {
      if (this.#look(value, null)) for (const entry of entriesOf(value)) if (!this.#addAll(entry)) return;
    } else if (types.isSet(value)) {
      if (this.#look(value, null)) this.#addAll(Set.prototype.values.call(value));
    } else if (isPlain(value)) {
      if (!this.#look(value, uriOf(value))) return;
      for (const key of Object.keys(value)) if (!this.#add(fieldOf(value, key))) return;
    } else this.#look(value, null);
  }

  #addItems(value: readonly unknown[]): void {
    for (let at = 0; at < value.length; at++) if (!this.#add(fieldOf(value, at))) return;
  }

  /** @returns whether the search may continue. */
  #addAll(values: Iterable<unknown>): boolean {
    for (const value of values) if (!this.#add(value)) return false;
    return true;
  }

  #add(value: unknown): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    if (isObject(value)) this.#objects.add(value);
    return true;
  }
}

function entriesOf(value: Map<unknown, unknown>): Iterable<readonly unknown[]> {
  return Map.prototype.entries.call(value);
}

/** The address of a ref; null for any other object. */
function uriOf(value: object): string | null {
  if (!Object.hasOwn(value, "sha256")) return null;
  const copy: object = Object.fromEntries(Object.keys(value).map((key) => [key, fieldOf(value, key)]));
  return isRef(copy) ? copy.uri : null;
}

const NONE: readonly Producer[] = [];

/**
 * Knows which calls of a run returned which values. It follows objects by their identity and refs by their address.
 * Equal texts and numbers may be from anywhere, so it does not follow them. It keeps no value in memory.
 */
export class Lineage {
  /** An empty list: calls returned the object independently of each other, so its producer is not known. */
  readonly #objects = new WeakMap<object, readonly Producer[]>();
  readonly #refs = new Map<string, readonly Producer[]>();

  /** The calls that returned these values, values inside them, or values that they are inside of. */
  of(values: readonly unknown[]): readonly Producer[] {
    if (!values.some(isObject)) return NONE;
    const found = new Set<Producer>();
    const search = new Search((value, uri) => {
      const producers = this.#producersOf(value, uri);
      for (const producer of producers ?? []) found.add(producer);
      return producers === undefined;
    });
    search.run(values);
    return found.size === 0 ? NONE : [...found];
  }

  /**
   * Remembers what a call returned. If the call received an object and returns it, it becomes the object's only
   * producer, as for a new object. So does a call for the results of the calls inside it.
   */
  note(result: unknown, call: { readonly producer: Producer; readonly upstream: readonly Producer[] }): void {
    if (!isObject(result)) return;
    const { producer } = call;
    const above = new Set(call.upstream.map(({ path }) => path));
    const isFromAbove = ({ path, map }: Producer): boolean =>
      path === producer.path ||
      path.startsWith(`${producer.path}/`) ||
      above.has(path) ||
      (map !== undefined && above.has(map));
    const own = [producer];
    const search = new Search((value, uri) => {
      const before = this.#producersOf(value, uri);
      const isOwn = before === undefined || (before.length > 0 && before.every(isFromAbove));
      this.#set({ value, uri }, isOwn ? own : NONE);
      return isOwn;
    });
    search.run([result]);
  }

  /**
   * The calls that one item of a map came from: those of the item if a map made the collection, else those of the
   * collection, else those of the item.
   */
  ofItem(item: unknown, items: object): readonly Producer[] {
    const all = this.#objects.get(items);
    const one = this.of([item]);
    if (all === undefined || all.length === 0) return one;
    const isFromMap = one.length > 0 && one.every(({ map }) => all.some(({ path }) => path === map));
    return isFromMap ? one : all;
  }

  /** Remembers that a collection has the results of a map's calls. Each result keeps its own call. */
  noteResults<Results extends object>(results: Results, map: string): Results {
    this.#objects.set(results, [{ path: map }]);
    return results;
  }

  /** Remembers that a saved value has this ref. */
  noteSaved(ref: object, args: { readonly value: unknown; readonly path: string }): void {
    const producers = args.path === "" ? this.of([args.value]) : [{ path: args.path }];
    if (producers.length > 0) this.#mark(ref, producers);
  }

  /** Remembers that a value was loaded from a ref. */
  noteLoaded(value: unknown, ref: object): void {
    const producers = this.of([ref]);
    if (producers.length > 0) this.#mark(value, producers);
  }

  #mark(value: unknown, producers: readonly Producer[]): void {
    const search = new Search((one, uri) => {
      this.#set({ value: one, uri }, producers);
      return true;
    });
    search.run([value]);
  }

  #producersOf(value: object, uri: string | null): readonly Producer[] | undefined {
    return this.#objects.get(value) ?? (uri === null ? undefined : this.#refs.get(uri));
  }

  #set({ value, uri }: { value: object; uri: string | null }, producers: readonly Producer[]): void {
    this.#objects.set(value, producers);
    if (uri === null) return;
    this.#refs.delete(uri);
    this.#refs.set(uri, producers);
    for (const oldest of this.#refs.keys()) {
      if (this.#refs.size <= REFS_MAX) return;
      this.#refs.delete(oldest);
    }
  }
}

/** A call without its key: the calls that graphs and lists draw as one. */
function kindOf({ path, map }: Producer): string {
  return map ?? path.replace(/(?::[^/:#]*)?(?:#\d+)?$/, "");
}

/** The paths, with those of one kind apart from each other, so that a bounded list has some of each kind. */
function mixed(producers: readonly Producer[]): string[] {
  const kinds = [...Map.groupBy(producers, kindOf).values()];
  const longest = Math.max(...kinds.map((kind) => kind.length));
  return Array.from({ length: Math.min(longest, LIMITS.upstream) }, (_, at) =>
    kinds.flatMap((kind) => kind[at]?.path ?? []),
  ).flat();
}

/** The producers of a call's arguments for its first record. The list is bounded. */
export function upstreamFact(producers: readonly Producer[]): { readonly upstream?: Upstream } {
  if (producers.length === 0) return {};
  const all = [...new Set(producers.map(({ path }) => path))];
  const paths: string[] = [];
  let chars = 0;
  for (const path of all.length > LIMITS.upstream ? new Set(mixed(producers)) : all) {
    chars += path.length;
    if (paths.length === LIMITS.upstream || chars > LIMITS.upstreamChars) break;
    paths.push(path);
  }
  return { upstream: { paths, ...(paths.length < all.length && { more: true }) } };
}
