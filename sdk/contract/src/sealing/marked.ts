import { z } from "zod";
import { isKeyCode, isSealed, SEALED_MARK, type SealedField, saysNothing } from "./fields.ts";

type Schema = { readonly [key: string]: unknown };

/** A value in a marked field. */
export interface MarkedValue {
  readonly field: SealedField;
  /** Keys and indexes from the root. */
  readonly path: readonly (string | number)[];
  readonly value: unknown;
  /** Whether the field takes texts or any JSON. */
  readonly form: "text" | "json";
}

const schemas = { input: new WeakMap<z.ZodType, Schema>(), output: new WeakMap<z.ZodType, Schema>() };

function markedSchemaOf(type: z.ZodType, io: "input" | "output"): Schema {
  const known = schemas[io].get(type);
  if (known !== undefined) return known;
  const made = pruned(type, { io, above: [] }) ?? {};
  schemas[io].set(type, made);
  return made;
}

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const UNIONS = ["anyOf", "allOf"] as const;

/** Which side of a transformation is walked, and the types around, so that a type within itself ends the walk. */
interface Walk {
  readonly io: "input" | "output";
  readonly above: readonly unknown[];
}

/** The definition of a type, told apart by its kind. Every type of zod is one of these. */
function definitionOf(type: unknown) {
  return (type as z.core.$ZodTypes)._zod.def;
}

/** The type inside wrappers that change neither the value nor where it stands. Null: the type wraps none. */
function innerOf(type: unknown, { io }: Walk): unknown {
  const def = definitionOf(type);
  if (def.type === "pipe") return io === "input" ? def.in : def.out;
  if (def.type === "lazy") return def.getter();
  return "innerType" in def ? def.innerType : null;
}

/** Whether a type takes texts alone. */
function isText(type: unknown, walk: Walk): boolean {
  const inner = innerOf(type, walk);
  return inner === null ? definitionOf(type).type === "string" : isText(inner, walk);
}

/**
 * A schema with only what leads to a mark, and the constants that choose a branch. Null: there is no mark in it. It reads the types
 * themselves, because browsers do not load what makes JSON Schemas of them.
 */
function pruned(type: unknown, walk: Walk): Schema | null {
  if (walk.above.includes(type)) return null;
  const inside: Walk = { io: walk.io, above: [...walk.above, type] };
  const mark = z.globalRegistry.get(type as z.core.$ZodType)?.[SEALED_MARK];
  if (mark !== undefined) return { [SEALED_MARK]: mark, type: isText(type, inside) ? "string" : "any" };
  const inner = innerOf(type, inside);
  if (inner !== null) return pruned(inner, inside);
  const def = definitionOf(type);
  const holding = (key: string, part: unknown) => {
    const found = pruned(part, inside);
    return found === null ? null : { [key]: found };
  };
  const among = (key: (typeof UNIONS)[number], branches: readonly unknown[]) => {
    const found = branches.flatMap((branch) => pruned(branch, inside) ?? []);
    return found.length === 0 ? null : { [key]: found };
  };
  if (def.type === "array") return holding("items", def.element);
  if (def.type === "record") return holding("additionalProperties", def.valueType);
  if (def.type === "union") return among("anyOf", def.options);
  if (def.type === "intersection") return among("allOf", [def.left, def.right]);
  return def.type === "object" ? prunedObject(def.shape, inside) : null;
}

function prunedObject(shape: Readonly<Record<string, unknown>>, walk: Walk): Schema | null {
  const entries = Object.entries(shape).map(([name, one]) => [name, pruned(one, walk), one] as const);
  if (entries.every(([, found]) => found === null)) return null;
  const properties = entries.flatMap(([name, found, one]): [string, Schema][] => {
    if (found !== null) return [[name, found]];
    const def = definitionOf(one);
    return def.type === "literal" && def.values.length === 1 ? [[name, { const: def.values[0] }]] : [];
  });
  return { properties: Object.fromEntries(properties) };
}

/** Whether the constants of a branch do not contradict a value. */
function mayBe(schema: Schema, value: unknown): boolean {
  if (!isSchema(schema.properties) || !isSchema(value)) return true;
  return Object.entries(schema.properties).every(
    ([name, one]) => !isSchema(one) || !("const" in one) || value[name] === one.const,
  );
}

function collect(schema: Schema, value: unknown, path: (string | number)[], found: MarkedValue[]): void {
  if (value === undefined) return;
  const field = schema[SEALED_MARK];
  if (typeof field === "string") {
    const form = schema.type === "string" ? "text" : "json";
    // The marks are made by `sealable` alone.
    found.push({ field: field as SealedField, path, value, form });
    return;
  }
  for (const union of UNIONS) {
    const branches = schema[union];
    if (!Array.isArray(branches)) continue;
    for (const branch of branches)
      if (isSchema(branch) && mayBe(branch, value)) collect(branch, value, path, found);
  }
  if (Array.isArray(value) && isSchema(schema.items))
    for (const [index, one] of value.entries()) collect(schema.items, one, [...path, index], found);
  if (!isSchema(value)) return;
  const { properties } = schema;
  const known = isSchema(properties) ? properties : {};
  for (const [name, one] of Object.entries(value)) {
    const inner = Object.hasOwn(known, name) ? known[name] : schema.additionalProperties;
    if (isSchema(inner)) collect(inner, one, [...path, name], found);
  }
}

/** All values in marked fields, each once, in the order of the value. */
export function markedValues(
  type: z.ZodType,
  value: unknown,
  io: "input" | "output" = "input",
): MarkedValue[] {
  const schema = markedSchemaOf(type, io);
  if (Object.keys(schema).length === 0) return [];
  const found: MarkedValue[] = [];
  collect(schema, value, [], found);
  const seen = new Set<string>();
  return found.filter(({ path }) => {
    const key = JSON.stringify(path);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** Whether a schema has any marked field. */
export function hasMarks(type: z.ZodType, io: "input" | "output" = "input"): boolean {
  return Object.keys(markedSchemaOf(type, io)).length > 0;
}

/** Whether the body of an artifact is in the customer's store: the value says only where. */
function isStoredArtifact({ field, value }: MarkedValue): boolean {
  return field === "artifact" && isSchema(value) && value.kind === "stored";
}

/** Whether a value needs no seal: it is sealed, a code, or in the customer's store. */
export function isHidden(marked: MarkedValue): boolean {
  if (isStoredArtifact(marked)) return true;
  return marked.field === "key" ? isKeyCode(marked.value) : isSealed(marked.value);
}

/** The values that a sealed workspace refuses: neither empty nor sealed, and keys in place of their codes. */
export function plainValues(type: z.ZodType, value: unknown): MarkedValue[] {
  return markedValues(type, value).filter((one) => !isHidden(one) && !saysNothing(one.value));
}

/** A copy of a JSON value with some of its parts replaced. */
export function withReplaced<Value>(
  value: Value,
  replacements: readonly { readonly path: MarkedValue["path"]; readonly value: unknown }[],
): Value {
  if (replacements.length === 0) return value;
  const root = { value: structuredClone(value) };
  for (const { path, value: part } of replacements) {
    const keys = ["value", ...path];
    const last = keys.pop();
    const holder = keys.reduce<unknown>((whole, key) => Reflect.get(Object(whole), key), root);
    if (last !== undefined) Reflect.set(Object(holder), last, part);
  }
  return root.value;
}

/** A path as faults name it: `lines.0.text`. */
export function pathText(path: MarkedValue["path"]): string {
  return path.map(String).join(".");
}

function collectFields(schema: Schema, path: string, found: Map<string, SealedField>): void {
  const field = schema[SEALED_MARK];
  // The marks are made by `sealable` alone.
  if (typeof field === "string") found.set(path, field as SealedField);
  for (const union of UNIONS) {
    const branches = schema[union];
    if (Array.isArray(branches))
      for (const branch of branches) if (isSchema(branch)) collectFields(branch, path, found);
  }
  if (isSchema(schema.items)) collectFields(schema.items, `${path}[]`, found);
  const properties = isSchema(schema.properties) ? Object.entries(schema.properties) : [];
  for (const [name, one] of properties)
    if (isSchema(one)) collectFields(one, path === "" ? name : `${path}.${name}`, found);
}

/** The marked fields of a schema by dotted path, as `fieldsOf` names them. */
export function sealedFieldsOf(type: z.ZodType): Map<string, SealedField> {
  const found = new Map<string, SealedField>();
  collectFields(markedSchemaOf(type, "input"), "", found);
  return found;
}
