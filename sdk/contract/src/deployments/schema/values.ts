import { format } from "@cfworker/json-schema";
import type { Json } from "../../kernel/names.ts";
import { isObject, type JsonObject, type Walk } from "./walk.ts";

/** Says what is wrong with a value, or null. */
type Rule<T> = (value: T, limit: Json, args: { walk: Walk; schema: JsonObject }) => string | null;

type NamedRule<T> = readonly [keyword: string, rule: Rule<T>];

/** A fault if the limit is a number and the value does not keep it. */
function unless<T>(keeps: (value: T, limit: number) => boolean, say: (limit: number) => string): Rule<T> {
  return (value, limit) => (typeof limit !== "number" || keeps(value, limit) ? null : say(limit));
}

const counted = (count: number, one: string) => `${count} ${one}${count === 1 ? "" : "s"}`;

/** A number as an integer times a power of ten, exactly as it is written. */
function decimal(value: number): { digits: bigint; exponent: number } {
  const [coefficient = "0", power = "0"] = value.toString().split("e");
  const point = coefficient.indexOf(".");
  const places = point < 0 ? 0 : coefficient.length - point - 1;
  return { digits: BigInt(coefficient.replace(".", "")), exponent: Number(power) - places };
}

function isMultiple(value: number, of: number): boolean {
  if (of <= 0 || !Number.isFinite(of)) return true;
  if (!Number.isFinite(value)) return false;
  const [a, b] = [decimal(value), decimal(of)];
  const lowest = Math.min(a.exponent, b.exponent);
  const scaled = ({ digits, exponent }: ReturnType<typeof decimal>) =>
    digits * 10n ** BigInt(exponent - lowest);
  return scaled(a) % scaled(b) === 0n;
}

export const NUMBER_RULES: readonly NamedRule<number>[] = [
  [
    "minimum",
    unless(
      (value, limit) => value >= limit,
      (limit) => `must be at least ${limit}`,
    ),
  ],
  [
    "maximum",
    unless(
      (value, limit) => value <= limit,
      (limit) => `must be at most ${limit}`,
    ),
  ],
  [
    "exclusiveMinimum",
    unless(
      (value, limit) => value > limit,
      (limit) => `must be above ${limit}`,
    ),
  ],
  [
    "exclusiveMaximum",
    unless(
      (value, limit) => value < limit,
      (limit) => `must be below ${limit}`,
    ),
  ],
  ["multipleOf", unless(isMultiple, (limit) => `must be a multiple of ${limit}`)],
];

/** Characters as people count them: a surrogate pair is one. */
function characters(text: string, walk: Walk): number {
  walk.read(text);
  let count = text.length;
  for (let index = 0; index < text.length; index++) if ((text.charCodeAt(index) & 0xfc00) === 0xdc00) count--;
  return count;
}

const FORMATS: ReadonlyMap<string, (text: string) => boolean> = new Map(Object.entries(format));

export const STRING_RULES: readonly NamedRule<string>[] = [
  [
    "minLength",
    (value, limit, { walk }) =>
      typeof limit !== "number" || (value.length >= limit && characters(value, walk) >= limit)
        ? null
        : `must have at least ${counted(limit, "character")}`,
  ],
  [
    "maxLength",
    (value, limit, { walk }) =>
      typeof limit !== "number" || value.length <= limit || characters(value, walk) <= limit
        ? null
        : `must have at most ${counted(limit, "character")}`,
  ],
  // A format says more than the pattern that a schema library writes beside it.
  [
    "format",
    (value, limit, { walk }) => {
      const fits = typeof limit === "string" ? FORMATS.get(limit) : undefined;
      if (fits === undefined) return null;
      walk.beginFormat(value);
      return fits(value) ? null : `must be of the format "${limit}"`;
    },
  ],
  [
    "pattern",
    (value, limit, { walk }) => (walk.matches(limit, value) ? null : `must match the pattern ${limit}`),
  ],
];

/** Whether two values are equal as JSON: the order of fields does not matter. */
export function isEqual(a: Json, b: Json, walk: Walk): boolean {
  walk.spend(1);
  if (typeof a === "string" && typeof b === "string" && a.length === b.length) walk.read(a);
  if (a === b) return true;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    return walk.deeper(() => a.every((one, index) => isEqual(one, b[index] ?? null, walk)));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = walk.keysOf(a);
  if (keys.length !== walk.keysOf(b).length) return false;
  return walk.deeper(() =>
    keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key] ?? null, b[key] ?? null, walk)),
  );
}

/** Whether a list holds a value. */
export function holds(list: readonly Json[], value: Json, walk: Walk): boolean {
  const plain = typeof value !== "object" ? walk.compiled.allowed(list) : null;
  if (plain === null) return list.some((one) => isEqual(one, value, walk));
  walk.spend(1);
  if (typeof value === "string") walk.read(value);
  return plain.has(value);
}

function hasBefore(list: readonly Json[], args: { one: Json; index: number; walk: Walk }): boolean {
  for (let before = 0; before < args.index; before++)
    if (isEqual(args.one, list[before] ?? null, args.walk)) return true;
  return false;
}

function isUnique(list: readonly Json[], walk: Walk): boolean {
  walk.spend(list.length);
  const plain = list.filter((one) => typeof one !== "object" || one === null);
  if (new Set(plain).size < plain.length) return false;
  const others = list.filter((one) => typeof one === "object" && one !== null);
  return others.every((one, index) => !hasBefore(others, { one, index, walk }));
}

export const ARRAY_RULES: readonly NamedRule<Json[]>[] = [
  [
    "minItems",
    unless(
      (value, limit) => value.length >= limit,
      (limit) => `must have at least ${counted(limit, "item")}`,
    ),
  ],
  [
    "maxItems",
    unless(
      (value, limit) => value.length <= limit,
      (limit) => `must have at most ${counted(limit, "item")}`,
    ),
  ],
  [
    "uniqueItems",
    (value, limit, { walk }) =>
      limit !== true || isUnique(value, walk) ? null : "must not have the same item twice",
  ],
];

/** A rule about how many fields an object has. */
function sized(
  keeps: (size: number, limit: number) => boolean,
  say: (limit: number) => string,
): Rule<JsonObject> {
  return (value, limit, { walk }) =>
    typeof limit !== "number" || keeps(walk.keysOf(value).length, limit) ? null : say(limit);
}

export const OBJECT_RULES: readonly NamedRule<JsonObject>[] = [
  [
    "minProperties",
    sized(
      (size, limit) => size >= limit,
      (limit) => `must have at least ${counted(limit, "field")}`,
    ),
  ],
  [
    "maxProperties",
    sized(
      (size, limit) => size <= limit,
      (limit) => `must have at most ${counted(limit, "field")}`,
    ),
  ],
];
