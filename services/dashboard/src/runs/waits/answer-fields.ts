import type { Json } from "@towpath/contract";

/** The part of a JSON Schema that forms use. */
export type Schema = { readonly [key: string]: Json };

/** One field of a form. */
export interface Field {
  /** Empty: the whole answer. */
  readonly name: string;
  readonly kind: "boolean" | "choice" | "number" | "text" | "json";
  readonly required: boolean;
  readonly choices: readonly Json[];
  readonly hint: string;
  readonly initial: string;
}

function isSchema(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(schema: Schema): Field["kind"] {
  if (Array.isArray(schema.enum)) return "choice";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "integer" || schema.type === "number") return "number";
  return schema.type === "string" ? "text" : "json";
}

/** The text of a value in a field of this kind. */
function textOf(kind: Field["kind"], value: Json): string {
  return typeof value === "string" && kind === "text" ? value : JSON.stringify(value);
}

function fieldOf(name: string, args: { schema: Schema; required: boolean }): Field {
  const { schema, required } = args;
  const { description, default: standard } = schema;
  const kind = kindOf(schema);
  return {
    name,
    kind,
    required,
    choices: Array.isArray(schema.enum) ? schema.enum : [],
    hint: typeof description === "string" ? description : "",
    initial: standard === undefined ? (kind === "boolean" ? "false" : "") : textOf(kind, standard),
  };
}

/**
 * The fields of an answer: one for each property of an object, else one for the whole answer. Other values than plain
 * ones are JSON.
 */
export function fieldsOf(schema: Schema): Field[] {
  if (schema.type !== "object" || !isSchema(schema.properties))
    return [fieldOf("", { schema, required: true })];
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(schema.properties).map(([name, property]) =>
    fieldOf(name, { schema: isSchema(property) ? property : {}, required: required.includes(name) }),
  );
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

/**
 * The answer of a form. Empty fields are left out.
 * @throws SyntaxError if a text is not a number or not JSON.
 */
export function answerOf(fields: readonly Field[], texts: { readonly [name: string]: string }): Json {
  const values = fields.map((field): [string, Json | undefined] => [
    field.name,
    valueOfField(field, texts[field.name] ?? field.initial),
  ]);
  const [only] = fields;
  if (only?.name === "") return values[0]?.[1] ?? null;
  return Object.fromEntries(
    values.flatMap(([name, value]): [string, Json][] => (value === undefined ? [] : [[name, value]])),
  );
}
