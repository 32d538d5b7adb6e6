import { NotSerialisable } from "../problem.ts";

/**
 * JSON for what plain JSON cannot say. A value of another kind stands as `{ "~": [kind, …parts] }`; a plain object that has
 * a field `~` stands as `{ "~": ["object", [[key, value], …]] }`, so that neither is taken for the other. Arrays of bytes and
 * numbers stand behind the text, after a zero byte, which JSON never holds: `["bytes", kind, offset, length]` says where.
 * Data alone: reading it back runs nothing of anybody's.
 */
const MARK = "~";
const DEPTH_MAX = 200;

type Part = null | boolean | number | string | Part[] | { [key: string]: Part };

interface Place {
  readonly path: string;
  readonly above: ReadonlySet<object>;
  readonly bytes: Bytes;
}

/** The bytes that stand behind the text. */
class Bytes {
  readonly pieces: Uint8Array[] = [];
  #length = 0;

  /** @returns Where they begin, and how many they are. */
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

function nameOf(value: object): string {
  const made: unknown = value.constructor;
  return typeof made === "function" && made.name !== "" ? made.name : "a class";
}

/** Whether an object has no class of its own, in whatever realm it was made. */
export function isPlain(value: object): boolean {
  const proto: unknown = Object.getPrototypeOf(value);
  return proto === null || Object.getPrototypeOf(proto) === null;
}

/** The kinds of views of bytes, by name. */
const VIEWS = {
  Buffer,
  Uint8Array,
  Uint8ClampedArray,
  Uint16Array,
  Uint32Array,
  Int8Array,
  Int16Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const;

function isView(name: string): name is keyof typeof VIEWS {
  return Object.hasOwn(VIEWS, name);
}

function primitivePart(value: unknown, at: Place): Part | undefined {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (value === undefined) return mark("undefined");
  if (typeof value === "bigint") return mark("bigint", String(value));
  if (typeof value === "function") throw new NotSerialisable(at.path, "a function");
  if (typeof value === "symbol") throw new NotSerialisable(at.path, "a symbol");
  if (typeof value !== "number") return undefined;
  if (Number.isFinite(value) && !Object.is(value, -0)) return value;
  return mark("number", Object.is(value, -0) ? "-0" : String(value));
}

function bytesPart(value: object, at: Place): Part | undefined {
  if (value instanceof ArrayBuffer) return mark("buffer", ...at.bytes.add(new Uint8Array(value)));
  if (!ArrayBuffer.isView(value)) return undefined;
  const name = nameOf(value);
  if (!isView(name)) return undefined;
  return mark(
    "bytes",
    name,
    ...at.bytes.add(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)),
  );
}

function entriesPart(value: object, at: Place): Part {
  const entries = Object.entries(value);
  const parts = entries.map(([key, item]): [string, Part] => [
    key,
    partOf(item, { ...at, path: `${at.path}.${key}` }),
  ]);
  // A field called __proto__ would be lost in an object literal.
  const isMarked = entries.some(([key]) => key === MARK || key === "__proto__");
  return isMarked ? mark("object", parts) : Object.fromEntries(parts);
}

function objectPart(value: object, at: Place): Part {
  const inside = (item: unknown, step: string) => partOf(item, { ...at, path: `${at.path}${step}` });
  const bytes = bytesPart(value, at);
  if (bytes !== undefined) return bytes;
  if (Array.isArray(value)) return Array.from(value, (item, index) => inside(item, `[${index}]`));
  if (value instanceof Date)
    return mark("date", Number.isNaN(value.getTime()) ? "invalid" : value.toISOString());
  if (value instanceof Map)
    return mark(
      "map",
      [...value].map(([key, item]) => [inside(key, ".key"), inside(item, ".value")]),
    );
  if (value instanceof Set)
    return mark(
      "set",
      [...value].map((item) => inside(item, ".item")),
    );
  if (value instanceof URL) return mark("url", value.href);
  if (isPlain(value)) return entriesPart(value, at);
  throw new NotSerialisable(at.path, `an instance of ${nameOf(value)}`);
}

function partOf(value: unknown, at: Place): Part {
  const primitive = primitivePart(value, at);
  if (primitive !== undefined || typeof value !== "object" || value === null) return primitive ?? null;
  if (at.above.has(value)) throw new NotSerialisable(at.path, "part of a cycle");
  if (at.above.size > DEPTH_MAX) throw new NotSerialisable(at.path, `nested more than ${DEPTH_MAX} deep`);
  return objectPart(value, { ...at, above: new Set(at.above).add(value) });
}

/**
 * Writes a value as typed JSON.
 * @throws NotSerialisable naming the part that is no data: a function, an instance of a class, a cycle.
 */
export function toTypedJson(value: unknown, name: string): Uint8Array {
  const bytes = new Bytes();
  const part = partOf(value, { path: name, above: new Set(), bytes });
  const text = new TextEncoder().encode(JSON.stringify(part));
  return bytes.pieces.length === 0 ? text : Buffer.concat([text, new Uint8Array(1), ...bytes.pieces]);
}

/** Whether JSON gives a value back as it is, with nothing dropped and nothing changed. */
export function isExactJson(value: unknown, above: Set<object> = new Set()): boolean {
  if (value === null || typeof value === "boolean" || typeof value === "string") return true;
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== "object" || above.has(value) || above.size > DEPTH_MAX) return false;
  if ("toJSON" in value && typeof value.toJSON === "function") return false;
  above.add(value);
  const isExact = Array.isArray(value)
    ? areExact(value, above)
    : isPlain(value) && !Object.hasOwn(value, "__proto__") && areExact(Object.values(value), above);
  above.delete(value);
  return isExact;
}

function areExact(items: readonly unknown[], above: Set<object>): boolean {
  for (let index = 0; index < items.length; index++) if (!isExactJson(items[index], above)) return false;
  return true;
}

/** Reads one text back, and what stands behind it. */
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
    const read = typeof kind === "string" && Object.hasOwn(READ, kind) ? READ[kind] : undefined;
    if (read === undefined) throw new TypeError(`unknown kind ${String(kind)}`);
    return read(first);
  }

  /** A copy of its own, so that numbers of any width stand where their kind wants them. */
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
  if (typeof name !== "string" || !isView(name)) throw new TypeError(`unknown kind of bytes ${String(name)}`);
  return name === "Buffer" ? Buffer.from(buffer) : new VIEWS[name](buffer);
}

function dateOf(text: unknown): Date {
  return text === "invalid" ? new Date(Number.NaN) : new Date(String(text));
}

/** What each kind without parts of its own is read back as. */
const READ: Readonly<Record<string, (told: unknown) => unknown>> = {
  undefined: () => undefined,
  number: (text) => Number(text),
  bigint: (text) => BigInt(String(text)),
  date: dateOf,
  url: (text) => new URL(String(text)),
};

/** Fields are defined, not assigned: one called __proto__ is a field like any other. */
function objectOf(entries: readonly (readonly [unknown, unknown])[]): object {
  return Object.fromEntries(entries.map(([key, value]) => [String(key), value]));
}

/** Reads typed JSON back. @throws TypeError | SyntaxError if it is none. */
export function fromTypedJson(bytes: Uint8Array): unknown {
  const end = bytes.indexOf(0);
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
    end < 0 ? bytes : bytes.subarray(0, end),
  );
  return new Reader(end < 0 ? new Uint8Array(0) : bytes.subarray(end + 1)).value(JSON.parse(text));
}
