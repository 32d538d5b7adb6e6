import type { Json } from "../../kernel/names.ts";
import { closest } from "../../kernel/suggest.ts";
import { ARRAY_RULES, holds, isEqual, NUMBER_RULES, OBJECT_RULES, STRING_RULES } from "./values.ts";
import { type At, cut, isObject, type JsonObject, type Seen, shown, type Walk } from "./walk.ts";

/** The most known names that a fault lists. */
const NAMES_MAX = 20;

function typeOf(value: Json): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function isOfType(value: Json, type: Json): boolean {
  if (type === "integer") return Number.isInteger(value);
  return typeOf(value) === type;
}

function typesOf(schema: JsonObject): readonly Json[] | null {
  const { type } = schema;
  if (type === undefined) return null;
  return Array.isArray(type) ? type : [type];
}

const ARTICLES: Readonly<Record<string, string>> = {
  integer: "an integer",
  array: "an array",
  object: "an object",
  null: "null",
};
const named = (type: Json) => ARTICLES[String(type)] ?? `a ${type}`;

function fitsType(walk: Walk, schema: JsonObject, at: At): boolean {
  const types = typesOf(schema);
  if (types === null || types.some((type) => isOfType(at.value, type))) return true;
  const isFraction = typeof at.value === "number" && types.includes("integer");
  const found = isFraction ? "a fraction" : named(typeOf(at.value));
  return walk.fault(at, `must be ${types.map(named).join(" or ")}, not ${found}`);
}

/**
 * Whether a value fits a schema. Notes the faults unless only that is asked, and what was looked at where that is asked for.
 * A keyword that is malformed is left out: registering a deployment has refused it.
 */
export function check(walk: Walk, schema: Json, at: At): boolean {
  walk.spend(1);
  if (schema === false) return walk.fault(at, "is not allowed here");
  if (!isObject(schema)) return true;
  // What is of a wrong type has no other fault worth telling.
  if (!fitsType(walk, schema, at)) return false;
  return walk.deeper(() => checkKeywords(walk, schema, at));
}

function checkKeywords(walk: Walk, schema: JsonObject, outer: At): boolean {
  const asks = schema.unevaluatedProperties !== undefined || schema.unevaluatedItems !== undefined;
  const at: At = asks ? { ...outer, seen: newSeen() } : outer;
  let fits = fitsOwn(walk, schema, at);
  for (const [keyword, apply] of APPLIED) {
    const given = schema[keyword];
    if (given === undefined) continue;
    if (!fits && at.quiet) return false;
    if (!apply(walk, given, { schema, at })) fits = false;
  }
  if (asks && fits) merge(walk, at.seen, outer.seen);
  return fits;
}

function firstFault<T extends Json>(
  rules: readonly (readonly [
    string,
    (value: T, limit: Json, args: { walk: Walk; schema: JsonObject }) => string | null,
  ])[],
  value: T,
  args: { walk: Walk; schema: JsonObject },
): string | null {
  for (const [keyword, rule] of rules) {
    const limit = args.schema[keyword];
    const fault = limit === undefined ? null : rule(value, limit, args);
    if (fault !== null) return fault;
  }
  return null;
}

/** The first thing that a schema itself, not one within it, finds wrong with a value. */
function ownFault(walk: Walk, schema: JsonObject, { value, quiet }: At): string | null {
  const { enum: list, const: only } = schema;
  if (Array.isArray(list) && !holds(list, value, walk)) return quiet ? "" : `must be one of ${listed(list)}`;
  if (only !== undefined && !isEqual(only, value, walk)) return quiet ? "" : `must be ${shown(only)}`;
  const a = { walk, schema };
  if (typeof value === "number") return firstFault(NUMBER_RULES, value, a);
  if (typeof value === "string") return firstFault(STRING_RULES, value, a);
  if (Array.isArray(value)) return firstFault(ARRAY_RULES, value, a);
  return isObject(value) ? firstFault(OBJECT_RULES, value, a) : null;
}

function fitsOwn(walk: Walk, schema: JsonObject, at: At): boolean {
  const fault = ownFault(walk, schema, at);
  return fault === null || walk.fault(at, fault);
}

function listed(list: readonly Json[]): string {
  const first = list.slice(0, NAMES_MAX).map(shown);
  return `${first.join(", ")}${list.length > NAMES_MAX ? ", …" : ""}`;
}

function newSeen(): Seen {
  return { keys: new Set(), items: new Set() };
}

/** Passes on what was looked at by a part that fits. */
function merge(walk: Walk, from: Seen | null, to: Seen | null): void {
  if (from === null || to === null) return;
  walk.spend(from.keys.size + from.items.size);
  for (const key of from.keys) to.keys.add(key);
  for (const item of from.items) to.items.add(item);
}

/** Whether the same value fits another schema; what that looked at counts only if it does. */
function fitsToo(walk: Walk, schema: Json, at: At): boolean {
  const seen = at.seen === null ? null : newSeen();
  const fits = check(walk, schema, { ...at, seen });
  if (fits) merge(walk, seen, at.seen);
  return fits;
}

const probed = (at: At): At => ({ ...at, quiet: true });

/** A keyword whose value is schemas: they are applied to the value, or to what is in it. */
type Apply = (walk: Walk, given: Json, args: { schema: JsonObject; at: At }) => boolean;

const reference: Apply = (walk, given, { at }) => {
  if (typeof given !== "string") return true;
  const target = walk.compiled.reference(given);
  if (target === undefined) return walk.fault(at, `cannot be checked: the schema has no ${given}`);
  return fitsToo(walk, target, at);
};

const allOf: Apply = (walk, given, { at }) => {
  let fits = true;
  for (const schema of Array.isArray(given) ? given : []) {
    if (!fits && at.quiet) return false;
    if (!fitsToo(walk, schema, at)) fits = false;
  }
  return fits;
};

/** How many of some schemas a value fits; no more are counted than matter. */
function fitting(walk: Walk, given: readonly Json[], args: { at: At; atMost: number }): number {
  let count = 0;
  for (const schema of given) {
    if (fitsToo(walk, schema, probed(args.at))) count += 1;
    // What all of them have looked at counts.
    if (count >= args.atMost && args.at.seen === null) break;
  }
  return count;
}

/** Tells why a value fits none of some schemas: by the only one of its type, where there is one. */
function fitsNone(walk: Walk, given: readonly Json[], at: At): false {
  if (at.quiet) return false;
  walk.spend(given.length);
  const likely = given.filter(
    (one) => isObject(one) && (typesOf(one)?.some((type) => isOfType(at.value, type)) ?? true),
  );
  const [only] = likely;
  if (likely.length === 1 && only !== undefined && !check(walk, only, { ...at, seen: null })) return false;
  const types = given.flatMap((one) => (isObject(one) ? (typesOf(one) ?? [null]) : [null]));
  if (likely.length === 0 && !types.includes(null)) {
    const wanted = [...new Set(types)].map(named).join(" or ");
    return walk.fault(at, `must be ${wanted}, not ${named(typeOf(at.value))}`);
  }
  return walk.fault(at, `must match one of ${given.length} alternatives, but matches none`);
}

const anyOf: Apply = (walk, given, { at }) =>
  !Array.isArray(given) || fitting(walk, given, { at, atMost: 1 }) > 0 || fitsNone(walk, given, at);

const oneOf: Apply = (walk, given, { at }) => {
  if (!Array.isArray(given)) return true;
  const count = fitting(walk, given, { at, atMost: 2 });
  if (count === 1) return true;
  return count === 0
    ? fitsNone(walk, given, at)
    : walk.fault(at, "must match only one of the alternatives, but matches several");
};

const not: Apply = (walk, given, { at }) =>
  !check(walk, given, { ...probed(at), seen: null }) || walk.fault(at, "must not match the schema of not");

const condition: Apply = (walk, given, { schema, at }) => {
  const next = fitsToo(walk, given, probed(at)) ? schema.then : schema.else;
  return next === undefined || fitsToo(walk, next, at);
};

const dependentSchemas: Apply = (walk, given, { at }) => {
  if (!isObject(given) || !isObject(at.value)) return true;
  let fits = true;
  for (const [key, schema] of Object.entries(given)) {
    walk.spend(1);
    if (Object.hasOwn(at.value, key) && !fitsToo(walk, schema, at)) fits = false;
  }
  return fits;
};

const dependentRequired: Apply = (walk, given, { at }) => {
  if (!isObject(given) || !isObject(at.value)) return true;
  let fits = true;
  for (const [key, names] of Object.entries(given)) {
    walk.spend(1);
    if (Object.hasOwn(at.value, key) && !required(walk, names, { schema: {}, at })) fits = false;
  }
  return fits;
};

const required: Apply = (walk, given, { at }) => {
  if (!Array.isArray(given) || !isObject(at.value)) return true;
  let fits = true;
  for (const key of given) {
    walk.spend(1);
    if (typeof key !== "string" || Object.hasOwn(at.value, key)) continue;
    const what = at.place === null ? "parameter" : "field";
    fits = walk.fault(at, `missing ${what} "${cut(key)}"`, { key, suggestion: "give it a value" });
  }
  return fits;
};

/** A field or item of a value, checked by a schema of its own. */
function inside(walk: Walk, schema: Json, args: { at: At; key: string | number; value: Json }): boolean {
  const { at, key, value } = args;
  if (typeof key === "string") at.seen?.keys.add(key);
  else at.seen?.items.add(key);
  return check(walk, schema, { value, place: { key, up: at.place }, quiet: at.quiet, seen: null });
}

const properties: Apply = (walk, given, { at }) => {
  const { value } = at;
  if (!isObject(given) || !isObject(value)) return true;
  let fits = true;
  for (const [key, one] of walk.fieldsOf(value)) {
    walk.spend(1);
    const schema = Object.hasOwn(given, key) ? given[key] : undefined;
    if (schema !== undefined && !inside(walk, schema, { at, key, value: one })) fits = false;
    if (!fits && at.quiet) return false;
  }
  return fits;
};

const patternProperties: Apply = (walk, given, { at }) => {
  if (!isObject(given) || !isObject(at.value)) return true;
  let fits = true;
  for (const [key, value] of walk.fieldsOf(at.value))
    for (const [pattern, schema] of Object.entries(given))
      if (walk.matches(pattern, key) && !inside(walk, schema, { at, key, value })) fits = false;
  return fits;
};

/** The fields of a value that neither `properties` nor `patternProperties` of a schema speak of. */
function* others(walk: Walk, schema: JsonObject, value: JsonObject): Generator<string> {
  const known = isObject(schema.properties) ? schema.properties : {};
  const patterns = isObject(schema.patternProperties) ? Object.keys(schema.patternProperties) : [];
  for (const key of walk.keysOf(value)) {
    walk.spend(1);
    if (Object.hasOwn(known, key)) continue;
    if (!patterns.some((pattern) => walk.matches(pattern, key))) yield key;
  }
}

function unknown(walk: Walk, args: { schema: JsonObject; at: At; key: string }): false {
  const { schema, at, key } = args;
  if (at.quiet) return false;
  const known = isObject(schema.properties) ? Object.keys(schema.properties) : [];
  // As much as comparing the names takes.
  walk.spend(known.length + Math.min(known.length, 100) * Math.min(key.length, 64));
  const near = closest(key, known);
  const isRoot = at.place === null;
  const none = isRoot ? "this deployment takes none" : "no fields are allowed here";
  const all = known.length > 0 ? `known: ${known.slice(0, NAMES_MAX).join(", ")}` : none;
  return walk.fault(at, `unknown ${isRoot ? "parameter" : "field"} "${cut(key)}"`, {
    key,
    suggestion: near === null ? all : `did you mean "${near}"?`,
  });
}

const additionalProperties: Apply = (walk, given, { schema, at }) => {
  const { value } = at;
  if (!isObject(value)) return true;
  let fits = true;
  for (const key of others(walk, schema, value)) {
    at.seen?.keys.add(key);
    const ok =
      given === false
        ? unknown(walk, { schema, at, key })
        : inside(walk, given, { at, key, value: value[key] ?? null });
    if (!ok) fits = false;
    if (!fits && at.quiet) return false;
  }
  return fits;
};

const propertyNames: Apply = (walk, given, { at }) => {
  if (!isObject(at.value)) return true;
  let fits = true;
  for (const key of walk.keysOf(at.value)) {
    const name: At = { value: key, place: null, quiet: true, seen: null };
    if (check(walk, given, name)) continue;
    fits = walk.fault(at, "is not a name that is allowed here", { key });
    if (at.quiet) return false;
  }
  return fits;
};

const prefixItems: Apply = (walk, given, { at }) => {
  const { value } = at;
  if (!Array.isArray(given) || !Array.isArray(value)) return true;
  let fits = true;
  for (const [key, schema] of given.entries()) {
    const item = value[key];
    if (item !== undefined && !inside(walk, schema, { at, key, value: item })) fits = false;
  }
  return fits;
};

const items: Apply = (walk, given, { schema, at }) => {
  const { value } = at;
  if (!Array.isArray(value)) return true;
  const first = Array.isArray(schema.prefixItems) ? schema.prefixItems.length : 0;
  let fits = true;
  for (let key = first; key < value.length; key++) {
    if (!inside(walk, given, { at, key, value: value[key] ?? null })) fits = false;
    if (!fits && at.quiet) return false;
  }
  return fits;
};

const contains: Apply = (walk, given, { schema, at }) => {
  const { value } = at;
  if (!Array.isArray(value)) return true;
  const least = typeof schema.minContains === "number" ? schema.minContains : 1;
  const most = typeof schema.maxContains === "number" ? schema.maxContains : Number.POSITIVE_INFINITY;
  let count = 0;
  for (const [key, item] of value.entries()) {
    if (!check(walk, given, { value: item, place: null, quiet: true, seen: null })) continue;
    at.seen?.items.add(key);
    count += 1;
  }
  if (count < least)
    return walk.fault(at, `must have at least ${least} items that match the schema of contains`);
  return count <= most || walk.fault(at, `must have at most ${most} items that match the schema of contains`);
};

const unevaluatedProperties: Apply = (walk, given, { at }) => {
  const { value, seen } = at;
  if (!isObject(value) || seen === null) return true;
  let fits = true;
  for (const [key, one] of Object.entries(value)) {
    walk.spend(1);
    if (seen.keys.has(key)) continue;
    const ok =
      given === false
        ? walk.fault(at, `unknown field "${cut(key)}"`, { key })
        : inside(walk, given, { at, key, value: one });
    if (!ok) fits = false;
  }
  return fits;
};

const unevaluatedItems: Apply = (walk, given, { at }) => {
  const { value, seen } = at;
  if (!Array.isArray(value) || seen === null) return true;
  let fits = true;
  for (const [key, one] of value.entries()) {
    walk.spend(1);
    if (!seen.items.has(key) && !inside(walk, given, { at, key, value: one })) fits = false;
  }
  return fits;
};

/** The order of the faults. Unknown fields come first, because an unknown field is often a misspelt required one. */
const APPLIED: readonly (readonly [keyword: string, apply: Apply])[] = [
  ["$ref", reference],
  ["additionalProperties", additionalProperties],
  ["required", required],
  ["dependentRequired", dependentRequired],
  ["properties", properties],
  ["patternProperties", patternProperties],
  ["propertyNames", propertyNames],
  ["prefixItems", prefixItems],
  ["items", items],
  ["contains", contains],
  ["dependentSchemas", dependentSchemas],
  ["allOf", allOf],
  ["anyOf", anyOf],
  ["oneOf", oneOf],
  ["not", not],
  ["if", condition],
  ["unevaluatedProperties", unevaluatedProperties],
  ["unevaluatedItems", unevaluatedItems],
];
