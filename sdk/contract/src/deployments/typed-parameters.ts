import type { Json } from "../kernel/names.ts";
import type { Fault } from "../kernel/problems.ts";

/** A JSON Schema of parameters. */
type Schema = { [key: string]: Json };

/** How deep references and alternatives of a schema are followed. */
const DEPTH_MAX = 8;

/** Whether a part of a schema is an object with keywords. */
export function isSchema(value: Json | undefined): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function jsonType(value: Json | undefined): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/** The types that a property allows, through references and alternatives. */
export function typesOf(property: Json | undefined, root: Schema, depth = 0): string[] {
  if (!isSchema(property) || depth > DEPTH_MAX) return [];
  const { $ref: ref, type } = property;
  if (typeof ref === "string") {
    const name = /^#\/\$defs\/(.+)$/.exec(ref)?.[1] ?? "";
    return isSchema(root.$defs) ? typesOf(root.$defs[name], root, depth + 1) : [];
  }
  if (typeof type === "string") return [type];
  if (Array.isArray(type)) return type.filter((one) => typeof one === "string");
  if (Array.isArray(property.enum)) return property.enum.map(jsonType);
  const alternatives = property.anyOf ?? property.oneOf;
  if (Array.isArray(alternatives)) return alternatives.flatMap((one) => typesOf(one, root, depth + 1));
  return "const" in property ? [jsonType(property.const)] : [];
}

function parsedJson(text: string): Json | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function fits(value: Json, types: readonly string[]): boolean {
  const whole = types.includes("integer") && Number.isInteger(value);
  return whole || types.includes(jsonType(value));
}

const SHAPES: Readonly<Record<string, string>> = {
  integer: "a whole number",
  number: "a number",
  boolean: "yes or no",
  array: "a JSON list, such as [1,2]",
  object: 'a JSON object, such as {"a":1}',
  null: "null",
};

/** The value of `yes` or `no`, in the forms that people type. */
export function booleanWord(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (["yes", "y", "true"].includes(word)) return true;
  return ["no", "n", "false"].includes(word) ? false : undefined;
}

/**
 * The value of a text, by the types of its schema.
 * @returns A fault that says what is wanted, if the text has none of these types.
 */
export function typedValue(
  name: string,
  args: { text: string; types: readonly string[] },
): { value: Json } | Fault {
  const { text, types } = args;
  const parsed = parsedJson(text);
  if (types.length === 0) return { value: parsed ?? text };
  if (parsed !== undefined && typeof parsed !== "string" && fits(parsed, types)) return { value: parsed };
  if (types.includes("string")) return { value: text };
  const word = types.includes("boolean") ? booleanWord(text) : undefined;
  if (word !== undefined) return { value: word };
  const wanted = [...new Set(types)].map((type) => SHAPES[type] ?? type).join(" or ");
  return { path: `parameters.${name}`, message: `${name} must be ${wanted}` };
}

/** A parameter of a schema, in the words of the command line. */
export interface Parameter {
  /** Empty: the whole value. */
  readonly name: string;
  readonly types: readonly string[];
  readonly required: boolean;
  /** The default as JSON. */
  readonly standard: string | null;
  readonly description: string | null;
  /** The allowed values as JSON, if there are only a few. */
  readonly choices: readonly string[];
}

/** At most this many allowed values are listed. */
const CHOICES_MAX = 8;

function choicesOf(property: Json | undefined): string[] {
  const values = isSchema(property) && Array.isArray(property.enum) ? property.enum : [];
  return values.length > CHOICES_MAX ? [] : values.map((value) => JSON.stringify(value));
}

/** The properties of an object's schema, else one parameter for the whole value. */
export function parametersOf(schema: Schema): Parameter[] {
  const types = (property: Json | undefined) => [...new Set(typesOf(property, schema))];
  if (schema.type !== "object" && !isSchema(schema.properties))
    return [
      {
        name: "",
        types: types(schema),
        required: true,
        standard: null,
        description: null,
        choices: choicesOf(schema),
      },
    ];
  const properties = isSchema(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(properties).map(([name, property]) => ({
    name,
    types: types(property),
    required: required.includes(name),
    standard: isSchema(property) && "default" in property ? JSON.stringify(property.default) : null,
    description: isSchema(property) && typeof property.description === "string" ? property.description : null,
    choices: choicesOf(property),
  }));
}

/** The type or the allowed values of a parameter, and its default or whether it is required: `integer, default 5`. */
export function parameterKind({ types, required, standard, choices }: Parameter): string {
  const words = choices.length > 0 ? choices : types.map((type) => (type === "boolean" ? "yes or no" : type));
  const note = standard !== null ? `default ${standard}` : required ? "required" : "optional";
  return `${words.join(" or ") || "any value"}, ${note}`;
}

/**
 * A fault in one sentence without a full stop: `count must be at least 1`, `unknown parameter "cuont"`. Many messages name the
 * field themselves. Then its path is left out.
 */
export function faultText({ path, message, suggestion }: Fault): string {
  const more = suggestion === undefined ? "" : `; ${suggestion}`;
  const name = path.replace(/^parameters\./, "");
  if (message.split(/[^\w-]+/).includes(name.split(".").at(-1) ?? "")) return `${message}${more}`;
  return `${name}${/^(must|is) /.test(message) ? "" : ":"} ${message}${more}`;
}
