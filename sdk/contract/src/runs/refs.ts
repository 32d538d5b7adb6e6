import type { Json } from "../kernel/names.ts";
import type { Ref } from "./runs.ts";

/** `uri`, `codec`, `sizeBytes`, `sha256`. */
const REF_FIELDS = 4;
const CODEC = /^[a-z][a-z0-9-]{0,31}$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** Whether an object has exactly the fields of a ref. Engines and workers take the same objects for refs. */
export function isRef(value: object): value is Ref {
  if (Object.keys(value).length !== REF_FIELDS) return false;
  const { uri, codec, sizeBytes, sha256 }: Partial<Record<keyof Ref, unknown>> = value;
  if (typeof uri !== "string" || typeof codec !== "string" || typeof sizeBytes !== "number") return false;
  return CODEC.test(codec) && typeof sha256 === "string" && SHA256.test(sha256);
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
