import { types } from "node:util";
import { type ArrowTable, arrowTableOf } from "./arrow.ts";

/** The kinds of views of bytes, by name. */
export const VIEWS = {
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

/** The name of a kind of view. */
export type ViewName = keyof typeof VIEWS;

/** Whether a text names a kind of view. */
export function isViewName(name: string): name is ViewName {
  return Object.hasOwn(VIEWS, name);
}

const VIEW_NAMES = new Map<unknown, ViewName>(
  Object.entries(VIEWS).flatMap(([name, made]) =>
    isViewName(name) ? [[made.prototype, name] as const] : [],
  ),
);

/** The kind of a value, if its visible parts define it completely. */
export type Data =
  | { readonly kind: "array"; readonly value: readonly unknown[] }
  | { readonly kind: "object" | "bare"; readonly value: object }
  | { readonly kind: "map"; readonly value: ReadonlyMap<unknown, unknown> }
  | { readonly kind: "set"; readonly value: ReadonlySet<unknown> }
  | { readonly kind: "date"; readonly value: Date }
  | { readonly kind: "url"; readonly value: URL }
  | { readonly kind: "buffer"; readonly value: ArrayBuffer }
  | { readonly kind: "view"; readonly name: ViewName; readonly value: ArrayBufferView }
  | { readonly kind: "table"; readonly value: ArrowTable }
  /** No data, and why: "an instance of RegExp". */
  | { readonly kind: "none"; readonly found: string };

function none(found: string): Data {
  return { kind: "none", found };
}

function nameOf(value: object): string {
  const made: unknown = value.constructor;
  return typeof made === "function" && made.name !== "" ? made.name : "a class";
}

/** Whether something is the prototype of all plain objects, in whatever realm. */
function isRootPrototype(proto: object): boolean {
  if (proto === Object.prototype) return true;
  return Object.getPrototypeOf(proto) === null && Object.hasOwn(proto, "isPrototypeOf");
}

/** Whether a value is of a built-in class itself, in whatever realm, and of none that extends it. */
function isItself(value: object, made: { readonly name: string; readonly prototype: object }): boolean {
  const proto: unknown = Object.getPrototypeOf(value);
  if (proto === made.prototype) return true;
  if (typeof proto !== "object" || proto === null || nameOf(proto) !== made.name) return false;
  const above: unknown = Object.getPrototypeOf(proto);
  return typeof above === "object" && above !== null && isRootPrototype(above);
}

/** Whether an object has no class of its own, in whatever realm it was made. */
export function isPlain(value: object): boolean {
  const proto: unknown = Object.getPrototypeOf(value);
  return proto === null || (typeof proto === "object" && isRootPrototype(proto));
}

/** A field that a copy would lose or change; null if there is none. */
function oddField(value: object): string | null {
  // With many objects, `Reflect.ownKeys` takes fifteen times as long as these two calls.
  if (Object.getOwnPropertySymbols(value).length > 0) return "an object with a field whose name is a symbol";
  for (const key of Object.getOwnPropertyNames(value)) {
    const field = Object.getOwnPropertyDescriptor(value, key);
    if (field?.enumerable !== true) return `an object with the hidden field "${key}"`;
    if (field.get !== undefined || field.set !== undefined) return `an object with the accessor "${key}"`;
  }
  return null;
}

/** A map, set, date, URL or buffer with fields of its own is not data. */
function unlessFields(data: Data, value: object): Data {
  return Reflect.ownKeys(value).length === 0
    ? data
    : none(`an instance of ${nameOf(value)} with fields of its own`);
}

function arrayOf(value: readonly unknown[]): Data {
  if (!isItself(value, Array)) return none(`an instance of ${nameOf(value)}`);
  // Indices come first among the keys.
  const keys = Object.keys(value);
  const isDense = keys.length === value.length && (keys.at(-1) ?? "-1") === String(value.length - 1);
  if (isDense && Object.getOwnPropertySymbols(value).length === 0) return { kind: "array", value };
  return none("an array with holes or with fields of its own");
}

function bytesOf(value: object): Data | null {
  if (ArrayBuffer.isView(value)) {
    const name = VIEW_NAMES.get(Object.getPrototypeOf(value));
    if (name === undefined) return none(`an instance of ${nameOf(value)}`);
    return isPrivate(value.buffer)
      ? { kind: "view", name, value }
      : none("shared, resizable or transferred memory");
  }
  if (!types.isAnyArrayBuffer(value)) return null;
  if (!isPrivate(value)) return none("shared, resizable or transferred memory");
  return isItself(value, ArrayBuffer)
    ? unlessFields({ kind: "buffer", value }, value)
    : none(`an instance of ${nameOf(value)}`);
}

/** Whether a buffer is not shared and has a fixed size. */
function isPrivate(buffer: ArrayBufferLike): buffer is ArrayBuffer {
  return types.isArrayBuffer(buffer) && !buffer.resizable && !buffer.detached;
}

function contentOf(value: object): Data | null {
  if (types.isMap(value) && isItself(value, Map)) return unlessFields({ kind: "map", value }, value);
  if (types.isSet(value) && isItself(value, Set)) return unlessFields({ kind: "set", value }, value);
  if (types.isDate(value) && isItself(value, Date)) return unlessFields({ kind: "date", value }, value);
  return isUrl(value) ? unlessFields({ kind: "url", value }, value) : null;
}

function isUrl(value: object): value is URL {
  if (!(value instanceof URL) || Object.getPrototypeOf(value) !== URL.prototype) return false;
  try {
    // An object that only inherits from URL throws here.
    return value.href !== "";
  } catch {
    return false;
  }
}

/**
 * The kind of a value, if its visible parts define it completely. Other values may have private state, so two of them
 * may look equal and differ.
 */
export function dataOf(value: object): Data {
  if (types.isProxy(value)) return none("a Proxy");
  if (Array.isArray(value)) return arrayOf(value);
  if (isPlain(value)) {
    const odd = oddField(value);
    if (odd !== null) return none(odd);
    return { kind: Object.getPrototypeOf(value) === null ? "bare" : "object", value };
  }
  if (types.isPromise(value)) return none("a promise (await it first)");
  return bytesOf(value) ?? contentOf(value) ?? tableOf(value) ?? none(`an instance of ${nameOf(value)}`);
}

function tableOf(value: object): Data | null {
  const table = arrowTableOf(value);
  return table === null ? null : { kind: "table", value: table };
}

/** Methods of built-in classes. They do not describe a class that extends one. */
const BUILT_IN = new Set<unknown>([Date.prototype.toJSON, URL.prototype.toJSON, Buffer.prototype.toJSON]);

/** Whether a value defines its own data by `toJSON`. */
export function saysToJson(value: object): value is { toJSON(key: string): unknown } {
  if (types.isProxy(value)) return false;
  return "toJSON" in value && typeof value.toJSON === "function" && !BUILT_IN.has(value.toJSON);
}
