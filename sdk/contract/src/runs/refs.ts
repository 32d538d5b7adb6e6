import type { Json } from "../kernel/names.ts";
import type { Ref } from "./runs.ts";

/** `uri`, `codec`, `sizeBytes`, `sha256`. */
const REF_FIELDS = 4;
/**
 * Every format that an engine of this release writes. An object with another codec is plain data: no worker signs or changes it. So an
 * engine may write a new codec only one release after the workers know it.
 */
export const REF_CODECS = [
  ...["json", "text", "bytes", "typed"],
  ...["parquet", "npy", "safetensors", "pickle"],
] as const;
const CODECS: ReadonlySet<string> = new Set(REF_CODECS);
/** A value in a folder, in a bucket, or in the memory of a flow without a worker. */
const URI = /^(?:(?:file|memory):\/\/\/|s3:\/\/[^/]+\/)./s;
const SHA256 = /^[0-9a-f]{64}$/;

/**
 * Whether an object has exactly the fields of a ref, and each of them the form that a store writes. Engines and workers take the same
 * objects for refs. A person can write such an object by hand.
 */
export function isRef(value: object): value is Ref {
  if (Object.keys(value).length !== REF_FIELDS) return false;
  const { uri, codec, sizeBytes, sha256 }: Partial<Record<keyof Ref, unknown>> = value;
  if (typeof uri !== "string" || typeof codec !== "string" || typeof sha256 !== "string") return false;
  if (typeof sizeBytes !== "number" || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) return false;
  return CODECS.has(codec) && URI.test(uri) && SHA256.test(sha256);
}

/** The names and indexes that lead to a part of a JSON value. */
export type JsonPlace = readonly string[];

/**
 * A copy of a JSON value with each ref in it replaced. Nothing inside a ref is looked at.
 * @param change Gets a ref and where it is.
 */
export function mapRefs<Value extends Json>(value: Value, change: (ref: Ref, place: JsonPlace) => Ref): Value;
export function mapRefs(value: Json, change: (ref: Ref, place: JsonPlace) => Ref): Json {
  return mapped(value, { change, place: [] });
}

function mapped(
  value: Json,
  at: { readonly change: (ref: Ref, place: JsonPlace) => Ref; readonly place: JsonPlace },
): Json {
  if (typeof value !== "object" || value === null) return value;
  if (isRef(value)) return { ...at.change(value, at.place) };
  const inner = (name: string, part: Json) => mapped(part, { ...at, place: [...at.place, name] });
  if (Array.isArray(value)) return value.map((part, index) => inner(String(index), part));
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, inner(name, part)]));
}
