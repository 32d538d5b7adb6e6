import { type OutputUnit, Validator } from "@cfworker/json-schema";
import type { Json } from "../kernel/names.ts";
import type { Fault } from "../kernel/problems.ts";
import { closest } from "../kernel/suggest.ts";

/** The most faults told at once. */
const FAULTS_MAX = 20;

function propertiesOf(schema: { [key: string]: Json }): string[] {
  const { properties } = schema;
  return properties !== null && typeof properties === "object" && !Array.isArray(properties)
    ? Object.keys(properties)
    : [];
}

function unknownParameters(schema: { [key: string]: Json }, parameters: { [key: string]: Json }): Fault[] {
  if (schema.additionalProperties !== false) return [];
  const known = propertiesOf(schema);
  return Object.keys(parameters)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const near = closest(key, known);
      return {
        path: `parameters.${key}`,
        message: `unknown parameter "${key}"`,
        suggestion: near
          ? `did you mean "${near}"?`
          : known.length > 0
            ? `known: ${known.join(", ")}`
            : "this deployment takes none",
      };
    });
}

/**
 * Checks a run's parameters against its deployment's JSON Schema (2020-12), the same way in the CLI, on the server and
 * on the worker. Interprets the schema, so that a hostile one cannot run code. Never quotes a value in a message.
 * @returns An empty list if they satisfy it.
 */
export function checkParameters(
  schema: { [key: string]: Json },
  parameters: { [key: string]: Json },
): Fault[] {
  const unknown = unknownParameters(schema, parameters);
  const rest = unknown.length === 0 ? schema : { ...schema, additionalProperties: true };
  const { errors } = new Validator(rest, "2020-12", false).validate(parameters);
  const leaves = errors.filter((error) => !["properties", "items", "allOf", "$ref"].includes(error.keyword));
  // What is not known is told first: often it is what is missing, misspelt.
  const faults = new Map(unknown.map((fault) => [fault.path, fault]));
  // Errors come in the schema's order, so the first of a value is its type, which is what to mend first.
  for (const fault of leaves.map(faultOf)) if (!faults.has(fault.path)) faults.set(fault.path, fault);
  return [...faults.values()].slice(0, FAULTS_MAX);
}

/** The validator names what is missing in its sentence alone, and the place as the object around it. */
const MISSING = /^Instance does not have required property "(.*)"\.$/s;

function faultOf(error: OutputUnit): Fault {
  const path = ["parameters", ...error.instanceLocation.split("/").slice(1)].join(".");
  const missing = error.keyword === "required" ? MISSING.exec(error.error)?.[1] : undefined;
  if (missing === undefined) return { path, message: error.error };
  const message = `missing parameter "${missing}"`;
  return { path: `${path}.${missing}`, message, suggestion: "give it a value" };
}

/** The deepest object whose defaults are filled in. */
const DEFAULTS_DEPTH_MAX = 16;

/**
 * Parameters with the schema's defaults where they are left out, in nested objects too: what a command sees. A flow's own
 * schema does the same for it. What the schema refers to elsewhere (`$ref`, `anyOf`) is left alone.
 * @returns A copy; what was given is not changed.
 */
export function withDefaults(
  schema: { [key: string]: Json },
  parameters: { [key: string]: Json },
): { [key: string]: Json } {
  return filled(schema, parameters, 0);
}

function filled(
  schema: { [key: string]: Json },
  given: { [key: string]: Json },
  depth: number,
): { [key: string]: Json } {
  // Entries, not assignments: a property called __proto__ must stay a property.
  const entries = new Map(Object.entries(given));
  if (!isObject(schema.properties) || depth >= DEFAULTS_DEPTH_MAX) return Object.fromEntries(entries);
  for (const [key, property] of Object.entries(schema.properties)) {
    if (!isObject(property)) continue;
    const value = entries.has(key) ? entries.get(key) : property.default;
    if (value !== undefined) entries.set(key, isObject(value) ? filled(property, value, depth + 1) : value);
  }
  return Object.fromEntries(entries);
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return value !== undefined && value !== null && typeof value === "object" && !Array.isArray(value);
}
