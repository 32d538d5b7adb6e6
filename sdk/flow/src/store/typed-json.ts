import { NotSerialisable, StoreFault } from "../problem.ts";
import { type ArrowTable, readArrowTable, UNWRITABLE_TABLE } from "./arrow.ts";
import { dataOf, isViewName, VIEWS } from "./data.ts";

/**
 * JSON for values that plain JSON cannot hold. Such a value is `{ "~": [kind, …parts] }`. A plain object with a field
 * `~` is `{ "~": ["object", [[key, value], …]] }`, so that the two cannot be confused. Arrays of bytes and numbers
 * follow the text after a zero byte, which JSON never contains: `["bytes", kind, offset, length]` is their position. So do
 * Arrow tables in the IPC format: `["arrow", offset, length, rows]`.
 * Reading runs no code of the data.
 */
const MARK = "~";
const DEPTH_MAX = 200;

type Part = null | boolean | number | string | Part[] | { [key: string]: Part };

/** The way to a part, from the inside out. Its text is made only for an error: there may be very many parts. */
export interface Position {
  readonly step: string | number;
  readonly outer: Position | null;
}

/** What is written: the bytes so far, and the objects that the current part is inside of. */
interface Writing {
  readonly name: string;
  readonly bytes: Bytes;
  readonly above: Set<object>;
}

/** Makes the text of a path. */
export function pathText(name: string, at: Position | null): () => string {
  return () => pathOf({ name }, at);
}

function pathOf({ name }: Pick<Writing, "name">, at: Position | null): string {
  const steps: string[] = [];
  for (let one = at; one !== null; one = one.outer)
    steps.push(typeof one.step === "number" ? `[${one.step}]` : `.${one.step}`);
  return `${name}${steps.reverse().join("")}`;
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

function isJsonPrimitive(value: unknown): value is null | boolean | string | number {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  return typeof value === "string" || typeof value === "boolean" || value === null;
}

function primitivePart(writing: Writing, value: unknown, at: Position | null): Part | undefined {
  if (isJsonPrimitive(value)) return value;
  if (value === undefined) return mark("undefined");
  if (typeof value === "bigint") return mark("bigint", String(value));
  if (typeof value === "function") throw new NotSerialisable(pathOf(writing, at), "a function");
  if (typeof value === "symbol") throw new NotSerialisable(pathOf(writing, at), "a symbol");
  if (typeof value !== "number") return undefined;
  return mark("number", Object.is(value, -0) ? "-0" : String(value));
}

function fieldParts(writing: Writing, value: object, at: Position | null): [string, Part][] {
  return Object.entries(value).map(([key, item]) => [key, partOf(writing, item, { step: key, outer: at })]);
}

/** Whether a field of this name is written as it is. An object literal would lose a field called __proto__. */
export function isPlainField(name: string): boolean {
  return name !== MARK && name !== "__proto__";
}

function entriesPart(writing: Writing, value: object, at: Position | null): Part {
  if (Object.hasOwn(value, MARK) || Object.hasOwn(value, "__proto__"))
    return mark("object", fieldParts(writing, value, at));
  const parts: { [key: string]: Part } = {};
  for (const [key, item] of Object.entries(value))
    parts[key] = isJsonPrimitive(item) ? item : partOf(writing, item, { step: key, outer: at });
  return parts;
}

function bytesPart({ bytes }: Writing, value: ArrayBufferView): [number, number] {
  return bytes.add(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
}

function tablePart(writing: Writing, table: ArrowTable, at: Position | null): Part {
  const written = table.write();
  if (written === null) throw new NotSerialisable(pathOf(writing, at), UNWRITABLE_TABLE);
  return mark("arrow", ...writing.bytes.add(written.bytes), written.rows);
}

function objectPart(writing: Writing, value: object, at: Position | null): Part {
  const inside = (item: unknown, step: string | number) => partOf(writing, item, { step, outer: at });
  const data = dataOf(value);
  switch (data.kind) {
    case "array":
      return data.value.map(inside);
    case "object":
      return entriesPart(writing, value, at);
    case "bare":
      return mark("bare", fieldParts(writing, value, at));
    case "map":
      return mark(
        "map",
        [...data.value].map(([key, item]) => [inside(key, "key"), inside(item, "value")]),
      );
    case "set":
      return mark(
        "set",
        [...data.value].map((item) => inside(item, "item")),
      );
    case "date":
      return mark("date", Number.isNaN(data.value.getTime()) ? "invalid" : data.value.toISOString());
    case "url":
      return mark("url", data.value.href);
    case "buffer":
      return mark("buffer", ...writing.bytes.add(new Uint8Array(data.value)));
    case "view":
      return mark("bytes", data.name, ...bytesPart(writing, data.value));
    case "table":
      return tablePart(writing, data.value, at);
    case "none":
      throw new NotSerialisable(pathOf(writing, at), data.found);
  }
}

function partOf(writing: Writing, value: unknown, at: Position | null): Part {
  const primitive = primitivePart(writing, value, at);
  if (primitive !== undefined || typeof value !== "object" || value === null) return primitive ?? null;
  const { above } = writing;
  if (above.has(value)) throw new NotSerialisable(pathOf(writing, at), "part of a cycle");
  if (above.size > DEPTH_MAX)
    throw new NotSerialisable(pathOf(writing, at), `nested more than ${DEPTH_MAX} deep`);
  above.add(value);
  const part = objectPart(writing, value, at);
  above.delete(value);
  return part;
}

/** Writes items of typed JSON, and collects the bytes that follow them. */
export class TypedItems {
  readonly #writing: Writing;

  constructor(name: string) {
    this.#writing = { name, bytes: new Bytes(), above: new Set() };
  }

  /** The items, separated by commas. @throws NotSerialisable */
  text(items: readonly unknown[], at: (index: number) => Position | null): string {
    return JSON.stringify(items.map((item, index) => partOf(this.#writing, item, at(index)))).slice(1, -1);
  }

  /** What follows the text. */
  behind(): readonly Uint8Array[] {
    const { pieces } = this.#writing.bytes;
    return pieces.length === 0 ? [] : [new Uint8Array(1), ...pieces];
  }
}

/**
 * Writes a value as typed JSON.
 * @throws NotSerialisable naming the part that is not data: a function, an instance of a class, a cycle.
 */
export function toTypedJson(value: unknown, name: string): Uint8Array {
  const bytes = new Bytes();
  const part = partOf({ name, bytes, above: new Set() }, value, null);
  const text = new TextEncoder().encode(JSON.stringify(part));
  return bytes.pieces.length === 0 ? text : Buffer.concat([text, new Uint8Array(1), ...bytes.pieces]);
}

/** Whether JSON restores a value exactly, with nothing dropped or changed. */
export function isExactJson(value: unknown, above: Set<object> = new Set()): boolean {
  if (isJsonPrimitive(value)) return true;
  if (typeof value !== "object" || value === null || above.has(value) || above.size > DEPTH_MAX) return false;
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

/** Whether JSON restores all these values exactly. */
export function areExact(items: readonly unknown[], above: Set<object> = new Set()): boolean {
  for (let index = 0; index < items.length; index++) if (!isExactJson(items[index], above)) return false;
  return true;
}

const ORDINARY = { configurable: true, enumerable: true, writable: true } as const;

/** Reads one text and the bytes after it. */
class Reader {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Changes the parsed text in place: nobody else has it. */
  value(part: unknown): unknown {
    if (typeof part !== "object" || part === null) return part;
    if (Array.isArray(part)) return this.#items(part);
    if (!Object.hasOwn(part, MARK)) return this.#fields(part);
    const marked: unknown = Object.getOwnPropertyDescriptor(part, MARK)?.value;
    const [kind, ...rest]: unknown[] = Array.isArray(marked) ? marked : [];
    return this.#marked(kind, rest);
  }

  #items(parts: unknown[]): unknown[] {
    for (let index = 0; index < parts.length; index++) parts[index] = this.value(parts[index]);
    return parts;
  }

  #fields(part: object): object {
    for (const [key, item] of Object.entries(part)) {
      if (typeof item !== "object" || item === null) continue;
      const value = this.value(item);
      // Defined instead of assigned, so that __proto__ is an ordinary field.
      if (value !== item) Object.defineProperty(part, key, { ...ORDINARY, value });
    }
    return part;
  }

  #marked(kind: unknown, [first, second, third]: readonly unknown[]): unknown {
    if (kind === "buffer") return this.#buffer(first, second);
    if (kind === "bytes") return viewOf(first, this.#buffer(second, third));
    if (kind === "arrow") return readArrowTable(new Uint8Array(this.#buffer(first, second)), third);
    if (kind === "map") return new Map(this.#pairs(first));
    if (kind === "set" || kind === "frozenset")
      return new Set(Array.isArray(first) ? first.map((item) => this.value(item)) : []);
    if (kind === "tuple" || kind === "shaped") return this.value(first);
    if (kind === "bytearray") return new Uint8Array(this.#buffer(first, second));
    if (kind === "object") return objectOf(this.#pairs(first));
    if (kind === "bare") return Object.setPrototypeOf(objectOf(this.#pairs(first)), null);
    const read = typeof kind === "string" && Object.hasOwn(READ, kind) ? READ[kind] : undefined;
    if (read === undefined) throw unreadable(kind);
    return read(first);
  }

  /** A copy, so that numbers of any width are aligned. */
  #buffer(offset: unknown, length: unknown): ArrayBuffer {
    const [from, size] = [Number(offset), Number(length)];
    const isInside = Number.isSafeInteger(from + size) && from >= 0 && size >= 0;
    if (!isInside || from + size > this.#bytes.byteLength)
      throw new TypeError("the buffer ends before these bytes");
    const copy = new Uint8Array(size);
    copy.set(this.#bytes.subarray(from, from + size));
    return copy.buffer;
  }

  #pairs(part: unknown): [unknown, unknown][] {
    if (!Array.isArray(part)) throw new TypeError("not a list of pairs");
    return part.map((pair: unknown) => {
      if (!Array.isArray(pair)) throw new TypeError("no pair");
      return [this.value(pair[0]), this.value(pair[1])];
    });
  }
}

/** Kinds of Python that JavaScript does not have. */
const OF_PYTHON: Readonly<Record<string, string>> = {
  datetime: "a datetime of Python with microseconds or a time zone",
  day: "a date of Python without a time",
  time: "a time of day of Python",
  timedelta: "a timedelta of Python",
  decimal: "a Decimal of Python",
  complex: "a complex number of Python",
  parquet: "a table of Python",
  npy: "an array of NumPy",
  safetensors: "tensors or arrays of Python",
};

function unreadable(kind: unknown): Error {
  const found = typeof kind === "string" && Object.hasOwn(OF_PYTHON, kind) ? OF_PYTHON[kind] : undefined;
  if (found === undefined) return new TypeError(`unknown kind ${String(kind)}`);
  return new StoreFault(`The value contains ${found}, which has no equal in TypeScript.`, {
    next: "Convert it in the Python flow, such as to text or a number.",
  });
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
  uuid: String,
  path: String,
};

/** Defines fields instead of assigning them, so that __proto__ is an ordinary field. */
function objectOf(entries: readonly (readonly [unknown, unknown])[]): object {
  return Object.fromEntries(entries.map(([key, value]) => [String(key), value]));
}

/** Reads typed JSON. @throws TypeError | SyntaxError if it is invalid; StoreFault as `readArrowTable`. */
export function fromTypedJson(bytes: Uint8Array): unknown {
  const end = bytes.indexOf(0);
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
    end < 0 ? bytes : bytes.subarray(0, end),
  );
  return new Reader(end < 0 ? new Uint8Array(0) : bytes.subarray(end + 1)).value(JSON.parse(text));
}
