import { createHash, type Hash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { systemClock } from "../clock.ts";
import { type CodecChoice, checkJsonAt, type EncodedBytes } from "./codec.ts";
import { dataOf, saysToJson } from "./data.ts";
import { areExact, isPlainField, type Position, pathText, TypedItems } from "./typed-json.ts";

/** Arrays of more items are encoded in steps. */
const LARGE_ITEMS = 10_000;
/** Items of one step. */
const STEP_ITEMS = 500;
/** After this time, other work of the process gets a turn. Milliseconds. */
const TURN_MS = 20;
/** Large arrays are searched in containers with at most this many parts, this deep. */
const PARTS_MAX = 20;
const DEPTH_MAX = 2;
/** A value inside more containers than this is encoded at once, which also finds a cycle. */
const CONTAINERS_MAX = 20;

/** Bytes with their codec and hash. */
export interface HashedBytes extends EncodedBytes {
  /** Hex. */
  readonly sha256: string;
}

/** The position of an item by its index among others. */
type Positions = (index: number) => Position | null;

/** How to write a value in steps. */
interface Encoding {
  /** The text of items, separated by commas. Null: the encoding cannot hold them. */
  readonly text: (items: readonly unknown[], at: Positions) => string | null;
  /** Whether fields that are undefined are left out. */
  readonly dropsUndefined: boolean;
}

/** The parts of an array or object, if they can be written one after another. */
function partsOf(value: unknown): readonly unknown[] | null {
  if (typeof value !== "object" || value === null || saysToJson(value)) return null;
  const data = dataOf(value);
  if (data.kind === "array") return data.value;
  return data.kind === "object" && Object.keys(value).every(isPlainField) ? Object.values(value) : null;
}

function hasLarge(value: unknown, depth: number): boolean {
  const parts = partsOf(value);
  if (parts === null) return false;
  if (Array.isArray(value) && parts.length > LARGE_ITEMS) return true;
  return depth < DEPTH_MAX && parts.length <= PARTS_MAX && parts.some((one) => hasLarge(one, depth + 1));
}

/** The bytes of a text that is written in steps. */
class Steps {
  readonly #pieces: Uint8Array[] = [];
  readonly #hash: Hash = createHash("sha256");
  readonly #encoding: Encoding;
  /** The containers around the value that is written now. */
  readonly #above = new Set<unknown>();
  #sinceMs = systemClock.monotonicMs();

  constructor(encoding: Encoding) {
    this.#encoding = encoding;
  }

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#pieces.push(bytes);
  }

  /** @returns Whether the encoding holds the value. */
  async write(value: unknown, at: Position | null): Promise<boolean> {
    const isAtOnce = this.#above.size >= CONTAINERS_MAX || this.#above.has(value) || !hasLarge(value, 0);
    if (isAtOnce) return await this.#items([value], () => at);
    const isLarge = Array.isArray(value) && value.length > LARGE_ITEMS;
    return isLarge ? await this.#array(value, at) : await this.#container(value, at);
  }

  /** @returns The bytes, and their hash as hex. */
  end(): { readonly bytes: Uint8Array; readonly sha256: string } {
    return { bytes: Buffer.concat(this.#pieces), sha256: this.#hash.digest("hex") };
  }

  #text(text: string): void {
    this.add(Buffer.from(text));
  }

  async #array(items: readonly unknown[], at: Position | null): Promise<boolean> {
    for (let first = 0; first < items.length; first += STEP_ITEMS) {
      this.#text(first === 0 ? "[" : ",");
      const step = items.slice(first, first + STEP_ITEMS);
      if (!(await this.#items(step, (index) => ({ step: first + index, outer: at })))) return false;
    }
    this.#text("]");
    return true;
  }

  async #container(value: unknown, at: Position | null): Promise<boolean> {
    const isArray = Array.isArray(value);
    const entries = Object.entries(value ?? {});
    let count = 0;
    this.#above.add(value);
    this.#text(isArray ? "[" : "{");
    for (const [key, item] of entries) {
      if (item === undefined && !isArray && this.#encoding.dropsUndefined) continue;
      this.#text(`${count++ === 0 ? "" : ","}${isArray ? "" : `${JSON.stringify(key)}:`}`);
      if (!(await this.write(item, { step: isArray ? Number(key) : key, outer: at }))) return false;
    }
    this.#text(isArray ? "]" : "}");
    this.#above.delete(value);
    return true;
  }

  async #items(items: readonly unknown[], at: Positions): Promise<boolean> {
    const text = this.#encoding.text(items, at);
    if (text === null) return false;
    this.#text(text);
    if (systemClock.monotonicMs() - this.#sinceMs < TURN_MS) return true;
    await nextTurn();
    this.#sinceMs = systemClock.monotonicMs();
    return true;
  }
}

/** The items as a JSON array without its brackets. */
function jsonItems(items: readonly unknown[]): string {
  return JSON.stringify(items).slice(1, -1);
}

/** JSON as `ctx.save` writes it by default. @throws NotSerialisable */
function plainJson(name: string): Encoding {
  return {
    dropsUndefined: true,
    text(items, at) {
      if (!areExact(items))
        for (const [index, item] of items.entries()) checkJsonAt(item, pathText(name, at(index)));
      return jsonItems(items);
    },
  };
}

const EXACT_JSON: Encoding = {
  dropsUndefined: false,
  text: (items) => (areExact(items) ? jsonItems(items) : null),
};

async function written(value: unknown, encoding: Encoding): Promise<Steps | null> {
  const steps = new Steps(encoding);
  return (await steps.write(value, null)) ? steps : null;
}

async function typed(value: unknown, name: string): Promise<HashedBytes> {
  const items = new TypedItems(name);
  const text: Encoding["text"] = (all, at) => items.text(all, at);
  const steps = new Steps({ text, dropsUndefined: false });
  await steps.write(value, null);
  for (const piece of items.behind()) steps.add(piece);
  return { codec: "typed", ...steps.end() };
}

/**
 * Encodes a value with a large array in steps, so that other work of the process goes on meanwhile. The bytes are those of
 * `encodeAs`. The value must not change until this resolves.
 * @returns null for other values.
 * @throws NotSerialisable naming the part of the value that the codec cannot hold.
 */
export async function encodeLarge(
  value: unknown,
  as: { codec: CodecChoice; name: string },
): Promise<HashedBytes | null> {
  if (as.codec === "bytes" || as.codec === "text" || !hasLarge(value, 0)) return null;
  if (as.codec === "typed") return await typed(value, as.name);
  const json = await written(value, as.codec === "exact" ? EXACT_JSON : plainJson(as.name));
  return json === null ? await typed(value, as.name) : { codec: "json", ...json.end() };
}
