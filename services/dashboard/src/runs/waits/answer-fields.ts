import type { Json } from "@towpath/contract";

/** The part of a JSON Schema that forms use. */
export type Schema = { readonly [key: string]: Json };

/** One field of a form. */
export interface Field {
  /** Empty: the whole answer. With dots: the field of a nested object. */
  readonly name: string;
  /** The names of the objects around it, and its own. Empty: the whole answer. */
  readonly path: readonly string[];
  readonly kind: "boolean" | "choice" | "number" | "text" | "json";
  readonly required: boolean;
  readonly choices: readonly Json[];
  readonly hint: string;
  readonly initial: string;
}

function isSchema(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** How deep references, alternatives and nested objects are followed. */
const DEPTH_MAX = 8;

/** A schema without its reference, and without the alternative `null`. */
function resolved(schema: Schema, root: Schema, depth = 0): Schema {
  if (depth > DEPTH_MAX) return schema;
  const { $ref: ref, anyOf, type, ...own } = schema;
  const name = typeof ref === "string" ? /^#\/\$defs\/(.+)$/.exec(ref)?.[1] : undefined;
  const target = name !== undefined && isSchema(root.$defs) ? root.$defs[name] : undefined;
  if (isSchema(target)) return resolved({ ...target, ...own }, root, depth + 1);
  const others = Array.isArray(anyOf) ? anyOf.filter((one) => isSchema(one) && one.type !== "null") : [];
  const [only] = others;
  if (others.length === 1 && isSchema(only)) return resolved({ ...only, ...own }, root, depth + 1);
  const types = Array.isArray(type) ? type.filter((one) => one !== "null") : [];
  return types.length === 1 ? { ...schema, type: types[0] ?? null } : schema;
}

function kindOf(schema: Schema): Field["kind"] {
  if (schema.type === "boolean") return "boolean";
  if (Array.isArray(schema.enum)) return "choice";
  if (schema.type === "integer" || schema.type === "number") return "number";
  return schema.type === "string" ? "text" : "json";
}

/** The text of a value in a field of this kind. */
function textOf(kind: Field["kind"], value: Json): string {
  return typeof value === "string" && kind === "text" ? value : JSON.stringify(value);
}

interface Place {
  readonly path: readonly string[];
  readonly required: boolean;
}

function fieldOf(schema: Schema, { path, required }: Place): Field {
  const { description, default: standard } = schema;
  const kind = kindOf(schema);
  return {
    name: path.join("."),
    path,
    kind,
    required,
    choices: Array.isArray(schema.enum) ? schema.enum : [],
    hint: typeof description === "string" ? description : "",
    initial: standard === undefined ? "" : textOf(kind, standard),
  };
}

/** The properties of an object's schema. Null: it is not an object with known properties. */
function propertiesOf(
  schema: Schema,
  root: Schema,
): { name: string; schema: Schema; required: boolean }[] | null {
  const { properties } = schema;
  if (schema.type !== "object" || !isSchema(properties)) return null;
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(properties).map(([name, property]) => ({
    name,
    schema: isSchema(property) ? resolved(property, root) : {},
    required: required.includes(name),
  }));
}

/**
 * The fields of parameters: one for each property of an object, else one for the whole value. Other values than plain
 * ones are JSON.
 */
export function fieldsOf(schema: Schema): Field[] {
  const properties = propertiesOf(schema, schema);
  if (properties === null) return [fieldOf(resolved(schema, schema), { path: [], required: true })];
  return properties.map(({ name, ...one }) => fieldOf(one.schema, { path: [name], required: one.required }));
}

/**
 * The fields of a question. Properties of required nested objects are fields too. A boolean is a decision: it has no
 * initial value, and it must be chosen even if the schema has a default.
 */
export function questionFieldsOf(schema: Schema): Field[] {
  return nestedFields(resolved(schema, schema), { root: schema, path: [] });
}

function nestedFields(schema: Schema, args: { root: Schema; path: readonly string[] }): Field[] {
  const { root, path } = args;
  const properties = path.length > DEPTH_MAX ? null : propertiesOf(schema, root);
  if (properties === null) {
    const field = fieldOf(schema, { path, required: true });
    return [field.kind === "boolean" ? { ...field, initial: "" } : field];
  }
  return properties.flatMap(({ name, schema: own, required }) => {
    const inner = [...path, name];
    if (required || own.type === "boolean") return nestedFields(own, { root, path: inner });
    return [fieldOf(own, { path: inner, required })];
  });
}

/** The same fields, filled with the values of an object. */
export function prefilled(fields: readonly Field[], values: { readonly [name: string]: Json }): Field[] {
  return fields.map((field) => {
    const value = Object.hasOwn(values, field.name) ? values[field.name] : undefined;
    return value === undefined ? field : { ...field, initial: textOf(field.kind, value) };
  });
}

function valueOfField(field: Field, text: string): Json | undefined {
  if (text === "" && !(field.kind === "text" && field.required)) return undefined;
  if (field.kind === "text") return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new SyntaxError(
      `${field.name || "The answer"} is not ${field.kind === "number" ? "a number" : "valid JSON"}`,
    );
  }
}

/** An object with a value at a path. Other values of the object stay. */
function withValue(
  into: { readonly [name: string]: Json },
  args: { path: readonly string[]; value: Json },
): { [name: string]: Json } {
  const [name = "", ...rest] = args.path;
  const there = Object.hasOwn(into, name) ? into[name] : undefined;
  const value =
    rest.length === 0
      ? args.value
      : withValue(isSchema(there) ? there : {}, { path: rest, value: args.value });
  return Object.fromEntries([...Object.entries(into).filter(([other]) => other !== name), [name, value]]);
}

/**
 * The answer of a form. Empty fields are left out.
 * @throws SyntaxError if a text is not a number or not JSON.
 */
export function answerOf(fields: readonly Field[], texts: { readonly [name: string]: string }): Json {
  let answer: { [name: string]: Json } = {};
  for (const field of fields) {
    const value = valueOfField(field, texts[field.name] ?? field.initial);
    if (field.path.length === 0) return value ?? null;
    if (value !== undefined) answer = withValue(answer, { path: field.path, value });
  }
  return answer;
}
