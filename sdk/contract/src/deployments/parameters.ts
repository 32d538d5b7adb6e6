import { Validator } from "@cfworker/json-schema";
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
  if (unknown.length > 0) return unknown.slice(0, FAULTS_MAX);
  const { valid, errors } = new Validator(schema, "2020-12", false).validate(parameters);
  if (valid) return [];
  const leaves = errors.filter((error) => !["properties", "items", "allOf", "$ref"].includes(error.keyword));
  return leaves.slice(0, FAULTS_MAX).map((error) => ({
    path: ["parameters", ...error.instanceLocation.split("/").slice(1)].join("."),
    message: error.error,
  }));
}
