import { NotSerialisable } from "../problem.ts";

/**
 * JSON for what plain JSON cannot say. A value of another kind stands as `{ "~": [kind, …parts] }`; a plain object that has
 * a field `~` stands as `{ "~": ["object", [[key, value], …]] }`, so that neither is taken for the other. Data alone:
 * reading it back runs nothing of anybody's.
 */
const MARK = "~";
const DEPTH_MAX = 200;

type Part = null | boolean | number | string | Part[] | { [key: string]: Part };

interface Place {
  readonly path: string;
  readonly above: ReadonlySet<object>;
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

function bytesPart(value: object): Part | undefined {
  if (value instanceof ArrayBuffer) return mark("buffer", Buffer.from(value).toString("base64"));
  if (!ArrayBuffer.isView(value)) return undefined;
  const name = nameOf(value);
  if (!isView(name)) return undefined;
  return mark(
    "bytes",
    name,
    Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64"),
  );
}

function entriesPart(value: object, at: Place): Part {
  const entries = Object.entries(value);
  const parts = entries.map(([key, item]): [string, Part] => [
    key,
    partOf(item, { path: `${at.path}.${key}`, above: at.above }),
  ]);
  // A field called __proto__ would be lost in an object literal.
  const isMarked = entries.some(([key]) => key === MARK || key === "__proto__");
  return isMarked ? mark("object", parts) : Object.fromEntries(parts);
}

function objectPart(value: object, at: Place): Part {
  const inside = (item: unknown, step: string) =>
    partOf(item, { path: `${at.path}${step}`, above: at.above });
  const bytes = bytesPart(value);
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
  return objectPart(value, { path: at.path, above: new Set(at.above).add(value) });
}

/**
 * Writes a value as typed JSON.
 * @throws NotSerialisable naming the part that is no data: a function, an instance of a class, a cycle.
 */
export function toTypedJson(value: unknown, name: string): string {
  return JSON.stringify(partOf(value, { path: name, above: new Set() }));
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

function bytesOf(base64: unknown): ArrayBuffer {
  const bytes = Buffer.from(String(base64), "base64");
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

function viewOf(name: unknown, base64: unknown): unknown {
  if (typeof name !== "string" || !isView(name)) throw new TypeError(`unknown kind of bytes ${String(name)}`);
  if (name === "Buffer") return Buffer.from(String(base64), "base64");
  return new VIEWS[name](bytesOf(base64));
}

function pairsOf(part: unknown): [unknown, unknown][] {
  if (!Array.isArray(part)) throw new TypeError("no list of pairs");
  return part.map((pair: unknown) => {
    if (!Array.isArray(pair)) throw new TypeError("no pair");
    return [unmarked(pair[0]), unmarked(pair[1])];
  });
}

function dateOf(text: unknown): Date {
  return text === "invalid" ? new Date(Number.NaN) : new Date(String(text));
}

/** What each kind is read back as. */
const READ: Readonly<Record<string, (a: unknown, b: unknown) => unknown>> = {
  undefined: () => undefined,
  number: (text) => Number(text),
  bigint: (text) => BigInt(String(text)),
  date: dateOf,
  url: (text) => new URL(String(text)),
  buffer: bytesOf,
  bytes: viewOf,
  map: (pairs) => new Map(pairsOf(pairs)),
  set: (items) => new Set(Array.isArray(items) ? items.map(unmarked) : []),
  object: (pairs) => objectOf(pairsOf(pairs)),
};

/** Fields are defined, not assigned: one called __proto__ is a field like any other. */
function objectOf(entries: readonly (readonly [unknown, unknown])[]): object {
  return Object.fromEntries(entries.map(([key, value]) => [String(key), value]));
}

function unmarked(part: unknown): unknown {
  if (typeof part !== "object" || part === null) return part;
  if (Array.isArray(part)) return part.map(unmarked);
  const marked: unknown = Object.getOwnPropertyDescriptor(part, MARK)?.value;
  if (marked === undefined) return objectOf(Object.entries(part).map(([key, item]) => [key, unmarked(item)]));
  const [kind, first, second]: unknown[] = Array.isArray(marked) ? marked : [];
  const read = typeof kind === "string" && Object.hasOwn(READ, kind) ? READ[kind] : undefined;
  if (read === undefined) throw new TypeError(`unknown kind ${String(kind)}`);
  return read(first, second);
}

/** Reads typed JSON back. @throws TypeError | SyntaxError if it is none. */
export function fromTypedJson(text: string): unknown {
  return unmarked(JSON.parse(text));
}
