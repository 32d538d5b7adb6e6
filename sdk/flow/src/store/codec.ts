import type { Ref } from "@towpath/contract";
import { NotSerialisable, StoreFault } from "../problem.ts";
import { dataOf, isPlain } from "./data.ts";
import { fromTypedJson, isExactJson, toTypedJson } from "./typed-json.ts";

/** The encoding of a value. Reading a value runs no code. */
export type Codec = "json" | "bytes" | "text" | "typed";

/** File name endings, so that people can open what they find in a store. */
export const CODEC_ENDINGS: Record<Codec, string> = {
  json: "json",
  bytes: "bin",
  text: "txt",
  typed: "typed",
};

/** What only flows of Python write and read. */
const OF_PYTHON: Readonly<Record<string, string>> = {
  parquet: "a table that a Python flow stored as Parquet",
  npy: "an array of NumPy",
  safetensors: "tensors or arrays of Python",
  pickle: "a pickled object of Python",
};

function unknownCodec(ref: Pick<Ref, "codec" | "uri">): StoreFault {
  const known = Object.hasOwn(OF_PYTHON, ref.codec) ? OF_PYTHON[ref.codec] : undefined;
  if (known === undefined)
    return new StoreFault(`${ref.uri} has the codec ${ref.codec}, which this release does not know.`);
  return new StoreFault(`${ref.uri} holds ${known}, which has no equal in TypeScript.`, {
    next: "Convert it to plain data in the Python flow: lists, dicts, text or bytes.",
  });
}

const DEPTH_MAX = 200;

function nameOf(value: object): string {
  const made: unknown = value.constructor;
  return typeof made === "function" && made.name !== "" ? made.name : "a class";
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return "toJSON" in value && typeof value.toJSON === "function";
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function checkPrimitive(value: unknown, path: () => string): void {
  if (typeof value === "number" && !Number.isFinite(value)) throw new NotSerialisable(path(), String(value));
  if (typeof value === "bigint") throw new NotSerialisable(path(), "a bigint");
  if (typeof value === "function") throw new NotSerialisable(path(), "a function");
  if (typeof value === "symbol") throw new NotSerialisable(path(), "a symbol");
}

/** The parts of a value that JSON holds, by name. As in any JSON, undefined fields are dropped. */
function partsOf(value: object, path: () => string): (readonly [string | number, unknown])[] {
  if (Array.isArray(value)) return Array.from(value, (item, index) => [index, item] as const);
  if (!isPlain(value)) throw new NotSerialisable(path(), `an instance of ${nameOf(value)}`);
  return Object.entries(value).filter(([, item]) => item !== undefined);
}

/**
 * Refuses values that JSON.stringify would silently drop or change.
 * @param path Makes the text of the path, which only an error needs: there may be very many parts.
 */
function checkJson(value: unknown, path: () => string, above: Set<object>): void {
  if (value === undefined) throw new NotSerialisable(path(), "undefined");
  if (!isObject(value)) {
    checkPrimitive(value, path);
    return;
  }
  if (above.has(value)) throw new NotSerialisable(path(), "part of a cycle");
  if (above.size > DEPTH_MAX) throw new NotSerialisable(path(), `nested more than ${DEPTH_MAX} deep`);
  above.add(value);
  if (hasToJson(value)) checkJson(value.toJSON(""), path, above);
  else
    for (const [step, part] of partsOf(value, path)) {
      const stepText = () => `${path()}${typeof step === "number" ? `[${step}]` : `.${step}`}`;
      checkJson(part, stepText, above);
    }
  above.delete(value);
}

/** Refuses values that JSON.stringify would silently drop or change. @throws NotSerialisable */
export function checkJsonAt(value: unknown, path: () => string): void {
  checkJson(value, path, new Set());
}

/** The default codec: bytes for byte arrays, text for strings, typed for Arrow tables, else json. */
export function defaultCodec(value: unknown): Codec {
  if (value instanceof Uint8Array) return "bytes";
  if (isObject(value) && !isPlain(value) && dataOf(value).kind === "table") return "typed";
  return typeof value === "string" ? "text" : "json";
}

function isBytes(value: unknown): boolean {
  if (!(value instanceof Uint8Array)) return false;
  const data = dataOf(value);
  return data.kind === "view" && data.name === "Uint8Array";
}

/** A codec, or `exact` for the simplest one that restores a value exactly. */
export type CodecChoice = Codec | "exact";

/** Bytes with their codec. */
export interface EncodedBytes {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
}

function encodeExactly(value: unknown, name: string): EncodedBytes {
  if (isBytes(value)) return { codec: "bytes", bytes: encode(value, { codec: "bytes", name }) };
  if (typeof value === "string" && value.isWellFormed())
    return { codec: "text", bytes: encode(value, { codec: "text", name }) };
  return isExactJson(value)
    ? { codec: "json", bytes: new TextEncoder().encode(JSON.stringify(value)) }
    : { codec: "typed", bytes: toTypedJson(value, name) };
}

/**
 * Writes a value as bytes, and says with which codec.
 * @throws NotSerialisable naming the part of the value that the codec cannot hold.
 */
export function encodeAs(value: unknown, as: { codec: CodecChoice; name: string }): EncodedBytes {
  const { codec, name } = as;
  return codec === "exact" ? encodeExactly(value, name) : { codec, bytes: encode(value, { codec, name }) };
}

/**
 * Writes a value as bytes.
 * @throws NotSerialisable naming the part of the value that the codec cannot hold.
 */
export function encode(value: unknown, as: { codec: Codec; name: string }): Uint8Array {
  if (as.codec === "bytes") {
    if (value instanceof Uint8Array) return value;
    throw new NotSerialisable(as.name, `a ${typeof value}, but the codec bytes needs a byte array`);
  }
  if (as.codec === "text") {
    if (typeof value === "string") return new TextEncoder().encode(value);
    throw new NotSerialisable(as.name, `a ${typeof value}, but the codec text needs a string`);
  }
  return as.codec === "typed"
    ? toTypedJson(value, as.name)
    : new TextEncoder().encode(toJson(value, as.name));
}

/** The check is skipped for exact JSON, because it builds a path for each part. */
function toJson(value: unknown, name: string): string {
  if (!isExactJson(value)) checkJsonAt(value, () => name);
  return JSON.stringify(value);
}

/**
 * Reads a value back.
 * @throws StoreFault if the bytes are not what the codec says.
 */
export function decode(bytes: Uint8Array, ref: Pick<Ref, "codec" | "uri">): unknown {
  if (ref.codec === "bytes") return bytes;
  try {
    if (ref.codec === "typed") return fromTypedJson(bytes);
    if (ref.codec !== "text" && ref.codec !== "json") throw unknownCodec(ref);
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return ref.codec === "text" ? text : JSON.parse(text);
  } catch (cause) {
    if (cause instanceof StoreFault) throw cause;
    throw new StoreFault(`${ref.uri} does not hold ${ref.codec}.`, { cause });
  }
}
