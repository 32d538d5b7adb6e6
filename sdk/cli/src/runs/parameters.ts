import type { Fault, Json } from "@towpath/contract";
import { CheckPool } from "@towpath/contract/bounded";
import { Failure } from "../failure.ts";

type Schema = { [key: string]: Json };

/** How deep references and alternatives of a schema are followed. */
const DEPTH_MAX = 8;

function isSchema(value: Json | undefined): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function jsonType(value: Json | undefined): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function typesOf(property: Json | undefined, root: Schema, depth = 0): string[] {
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

/** Splits a `-p` option. @throws Failure if it has no `=`. */
export function splitParameter(given: string): { name: string; text: string } {
  const at = given.indexOf("=");
  if (at > 0) return { name: given.slice(0, at), text: given.slice(at + 1) };
  throw new Failure(`"${given}" is not a parameter.`, {
    exit: "usage",
    next: ["write it as -p name=value; repeat -p for each parameter"],
  });
}

/** A parameter of a schema, in the words of the command line. */
export interface Parameter {
  /** Empty: the whole value. */
  readonly name: string;
  readonly types: readonly string[];
  readonly required: boolean;
  /** The default as JSON. */
  readonly standard: string | null;
}

/** The properties of an object's schema, else one parameter for the whole value. */
export function parametersOf(schema: Schema): Parameter[] {
  const types = (property: Json | undefined) => [...new Set(typesOf(property, schema))];
  if (schema.type !== "object" && !isSchema(schema.properties))
    return [{ name: "", types: types(schema), required: true, standard: null }];
  const properties = isSchema(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(properties).map(([name, property]) => ({
    name,
    types: types(property),
    required: required.includes(name),
    standard: isSchema(property) && "default" in property ? JSON.stringify(property.default) : null,
  }));
}

/** The command that starts a run of a deployment, with a place for each parameter that must be given. */
export function runCommand(deployment: string, schema: Schema): string {
  const needed = parametersOf(schema).filter(
    ({ name, required, standard }) => name !== "" && required && standard === null,
  );
  return ["towpath run", deployment, ...needed.map(({ name }) => `-p ${name}=…`), "--watch"].join(" ");
}

/** One line for each parameter of a schema: name, type, and default or whether it is required. */
export function parameterLines(schema: Schema): string[] {
  return parametersOf(schema)
    .filter(({ name }) => name !== "")
    .map(({ name, types, required, standard }) => {
      const kinds =
        types.map((type) => (type === "boolean" ? "yes or no" : type)).join(" or ") || "any value";
      const note = standard !== null ? `default ${standard}` : required ? "required" : "optional";
      return `-p ${name}=…  ${kinds}, ${note}`;
    });
}

function invalidParameters(
  deployment: string,
  args: { faults: readonly Fault[]; schema: Schema; message: string | undefined },
): Failure {
  const lines = parameterLines(args.schema);
  return new Failure(
    args.message ?? `The parameters do not match the schema of the deployment "${deployment}".`,
    {
      exit: "invalidInput",
      code: "invalid-parameters",
      faults: args.faults,
      next: lines.length === 0 ? [`\`towpath run ${deployment}\` takes no parameters`] : lines,
    },
  );
}

/** Checks parameters against a schema. If the check takes too long, the control plane does it. */
async function schemaFaults(schema: Schema, parameters: { [key: string]: Json }): Promise<readonly Fault[]> {
  const pool = new CheckPool({ threads: 1 });
  try {
    const request = { owner: "cli", schema, values: [parameters], root: "parameters" };
    const [outcome] = await pool.check(request);
    return outcome !== undefined && "faults" in outcome ? outcome.faults : [];
  } finally {
    await pool.close();
  }
}

/**
 * Converts `-p key=value` options by a deployment's JSON Schema: `n=3` becomes a number or text as the schema says. A value
 * without a known type is parsed as JSON, else it is text.
 * @param args.base Parameters that those override.
 * @param args.message The message of a refusal. @default that the parameters do not match the deployment's schema
 * @throws Failure with a fault for each value of the wrong type, unknown name and missing parameter.
 */
export async function parseParameters(
  deployment: string,
  args: {
    schema: Schema;
    given: readonly string[];
    base?: { readonly [key: string]: Json };
    message?: string;
  },
): Promise<{ [key: string]: Json }> {
  const { schema } = args;
  const properties = isSchema(schema.properties) ? schema.properties : {};
  const values = new Map<string, Json>();
  const faults: Fault[] = [];
  for (const { name, text } of args.given.map(splitParameter)) {
    const typed = typedValue(name, { text, types: typesOf(properties[name], schema) });
    if ("value" in typed) values.set(name, typed.value);
    else faults.push(typed);
  }
  const parameters = { ...args.base, ...Object.fromEntries(values) };
  const all = faults.length > 0 ? faults : await schemaFaults(schema, parameters);
  if (all.length > 0) throw invalidParameters(deployment, { faults: all, schema, message: args.message });
  return parameters;
}
