import { NotSerialisable } from "../problem.ts";
import { dataOf, isViewName, VIEWS } from "./data.ts";

/**
 * JSON for values that plain JSON cannot hold. Such a value is `{ "~": [kind, …parts] }`. A plain object with a field
 * `~` is `{ "~": ["object", [[key, value], …]] }`, so that the two cannot be confused. Arrays of bytes and numbers
 * follow the text after a zero byte, which JSON never contains: `["bytes", kind, offset, length]` is their position.
 * Reading runs no code of the data.
 */
const MARK = "~";
const DEPTH_MAX = 200;

type Part = null | boolean | number | string | Part[] | { [key: string]: Part };

interface Position {
  readonly path: string;
  readonly above: ReadonlySet<object>;
  readonly bytes: Bytes;
}

/** The bytes after the text. */
class Bytes {
  readonly pieces: Uint8Array[] = [];
  #length = 0;

  /** @returns Their offset and length. */
  add(piece: Uint8Array): [number, number] {
    const offset = this.#length;
    this.pieces.push(piece);
    this.#length += piece.byteLength;
    return [offset, piece.byteLength];
  }
}

function mark(kind: string, ...parts: Part[]): Part {
  return { [MARK]: [kind, ...parts] };
}

function primitivePart(value: unknown, at: Position): Part | undefined {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (value === undefined) return mark("undefined");
  if (typeof value === "bigint") return mark("bigint", String(value));
  if (typeof value === "function") throw new NotSerialisable(at.path, "a function");
  if (typeof value === "symbol") throw new NotSerialisable(at.path, "a symbol");
  if (typeof value !== "number") return undefined;
  if (Number.isFinite(value) && !Object.is(value, -0)) return value;
  return mark("number", Object.is(value, -0) ? "-0" : String(value));
}

function fieldParts(value: object, at: Position): [string, Part][] {
  return Object.entries(value).map(([key, item]) => [
    key,
    partOf(item, { ...at, path: `${at.path}.${key}` }),
  ]);
}

function entriesPart(value: object, at: Position): Part {
  const parts = fieldParts(value, at);
  // An object literal would lose a field called __proto__.
  const isMarked = parts.some(([key]) => key === MARK || key === "__proto__");
  return isMarked ? mark("object", parts) : Object.fromEntries(parts);
}

function bytesPart(value: ArrayBufferView, at: Position): [number, number] {
  return at.bytes.add(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
}

function objectPart(value: object, at: Position): Part {
  const inside = (item: unknown, step: string) => partOf(item, { ...at, path: `${at.path}${step}` });
  const data = dataOf(value);
  switch (data.kind) {
    case "array":
      return data.value.map((item, index) => inside(item, `[${index}]`));
    case "object":
      return entriesPart(value, at);
    case "bare":
      return mark("bare", fieldParts(value, at));
    case "map":
      return mark(
        "map",
        [...data.value].map(([key, item]) => [inside(key, ".key"), inside(item, ".value")]),
      );
    case "set":
      return mark(
        "set",
        [...data.value].map((item) => inside(item, ".item")),
      );
    case "date":
      return mark("date", Number.isNaN(data.value.getTime()) ? "invalid" : data.value.toISOString());
    case "url":
      return mark("url", data.value.href);
    case "buffer":
      return mark("buffer", ...at.bytes.add(new Uint8Array(data.value)));
    case "view":
      return mark("bytes", data.name, ...bytesPart(data.value, at));
    case "none":
      throw new NotSerialisable(at.path, data.found);
  }
}

function partOf(value: unknown, at: Position): Part {
  const primitive = primitivePart(value, at);
  if (primitive !== undefined || typeof value !== "object" || value === null) return primitive ?? null;
  if (at.above.has(value)) throw new NotSerialisable(at.path, "part of a cycle");
  if (at.above.size > DEPTH_MAX) throw new NotSerialisable(at.path, `nested more than ${DEPTH_MAX} deep`);
  return objectPart(value, { ...at, above: new Set(at.above).add(value) });
}

/**
 * Writes a value as typed JSON.
 * @throws NotSerialisable naming the part that is not data: a function, an instance of a class, a cycle.
 */
export function toTypedJson(value: unknown, name: string): Uint8Array {
  const bytes = new Bytes();
  const part = partOf(value, { path: name, above: new Set(), bytes });
  const text = new TextEncoder().encode(JSON.stringify(part));
  return bytes.pieces.length === 0 ? text : Buffer.concat([text, new Uint8Array(1), ...bytes.pieces]);
}

/** Whether JSON restores a value exactly, with nothing dropped or changed. */
export function isExactJson(value: unknown, above: Set<object> = new Set()): boolean {
  if (value === null || typeof value === "boolean" || typeof value === "string") return true;
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== "object" || above.has(value) || above.size > DEPTH_MAX) return false;
  const data = dataOf(value);
  if (data.kind !== "array" && data.kind !== "object") return false;
  above.add(value);
  const isExact =
    data.kind === "array"
      ? areExact(data.value, above)
      : !Object.hasOwn(value, "__proto__") && areExact(Object.values(value), above);
  above.delete(value);
  return isExact;
}

function areExact(items: readonly unknown[], above: Set<object>): boolean {
  for (let index = 0; index < items.length; index++) if (!isExactJson(items[index], above)) return false;
  return true;
}

/** Reads one text and the bytes after it. */
class Reader {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  value(part: unknown): unknown {
    if (typeof part !== "object" || part === null) return part;
    if (Array.isArray(part)) return part.map((item) => this.value(item));
    const marked: unknown = Object.getOwnPropertyDescriptor(part, MARK)?.value;
    if (marked === undefined)
      return objectOf(Object.entries(part).map(([key, item]) => [key, this.value(item)]));
    const [kind, ...rest]: unknown[] = Array.isArray(marked) ? marked : [];
    return this.#marked(kind, rest);
  }

  #marked(kind: unknown, [first, second, third]: readonly unknown[]): unknown {
    if (kind === "buffer") return this.#buffer(first, second);
    if (kind === "bytes") return viewOf(first, this.#buffer(second, third));
    if (kind === "map") return new Map(this.#pairs(first));
    if (kind === "set") return new Set(Array.isArray(first) ? first.map((item) => this.value(item)) : []);
    if (kind === "object") return objectOf(this.#pairs(first));
    if (kind === "bare") return Object.setPrototypeOf(objectOf(this.#pairs(first)), null);
    const read = typeof kind === "string" && Object.hasOwn(READ, kind) ? READ[kind] : undefined;
    if (read === undefined) throw new TypeError(`unknown kind ${String(kind)}`);
    return read(first);
  }

  /** A copy, so that numbers of any width are aligned. */
  #buffer(offset: unknown, length: unknown): ArrayBuffer {
    const [from, size] = [Number(offset), Number(length)];
    const isInside = Number.isSafeInteger(from + size) && from >= 0 && size >= 0;
    if (!isInside || from + size > this.#bytes.byteLength) throw new TypeError("bytes that are not there");
    const copy = new Uint8Array(size);
    copy.set(this.#bytes.subarray(from, from + size));
    return copy.buffer;
  }

  #pairs(part: unknown): [unknown, unknown][] {
    if (!Array.isArray(part)) throw new TypeError("no list of pairs");
    return part.map((pair: unknown) => {
      if (!Array.isArray(pair)) throw new TypeError("no pair");
      return [this.value(pair[0]), this.value(pair[1])];
    });
  }
}

function viewOf(name: unknown, buffer: ArrayBuffer): unknown {
  if (typeof name !== "string" || !isViewName(name))
    throw new TypeError(`unknown kind of bytes ${String(name)}`);
  return name === "Buffer" ? Buffer.from(buffer) : new VIEWS[name](buffer);
}

function dateOf(text: unknown): Date {
  return text === "invalid" ? new Date(Number.NaN) : new Date(String(text));
}

/** How to read each kind without parts. */
const READ: Readonly<Record<string, (told: unknown) => unknown>> = {
  undefined: () => undefined,
  number: (text) => Number(text),
  bigint: (text) => BigInt(String(text)),
  date: dateOf,
  url: (text) => new URL(String(text)),
};

/** Defines fields instead of assigning them, so that __proto__ is an ordinary field. */
function objectOf(entries: readonly (readonly [unknown, unknown])[]): object {
  return Object.fromEntries(entries.map(([key, value]) => [String(key), value]));
}

/** Reads typed JSON. @throws TypeError | SyntaxError if it is invalid. */
export function fromTypedJson(bytes: Uint8Array): unknown {
  const end = bytes.indexOf(0);
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
    end < 0 ? bytes : bytes.subarray(0, end),
  );
  return new Reader(end < 0 ? new Uint8Array(0) : bytes.subarray(end + 1)).value(JSON.parse(text));
}
