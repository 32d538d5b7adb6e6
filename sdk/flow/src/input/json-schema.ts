import type { Json } from "@towpath/contract";
import { InvalidDefinition } from "../problem.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** A JSON Schema (2020-12) of parameters. */
export interface ParametersSchema {
  [keyword: string]: unknown;
}

const TARGET = "draft-2020-12";

/** The schema of a flow that takes no parameters. */
export const NO_PARAMETERS: ParametersSchema = {
  type: "object",
  properties: {},
  additionalProperties: false,
};

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Refuses unknown parameters, so that a misspelt one is not silently ignored. */
function closed(schema: Record<string, unknown>): ParametersSchema {
  return { additionalProperties: false, ...schema };
}

/**
 * The JSON Schema of the input, if the schema provides it itself (Standard JSON Schema; zod ≥ 4.2 does). Fields with
 * defaults are optional.
 */
export function ownJsonSchema(schema: StandardSchema): ParametersSchema | null {
  const own = schema["~standard"].jsonSchema;
  return own ? closed(own.input({ target: TARGET })) : null;
}

/**
 * The JSON Schema of a flow's parameters, for a deployment's signed spec.
 * @throws InvalidDefinition if the schema's library offers no JSON Schema, or the schema is not of an object.
 */
export async function jsonSchemaOf(schema: StandardSchema | null, owner: string): Promise<ParametersSchema> {
  if (schema === null) return NO_PARAMETERS;
  const vendors = ownJsonSchema(schema) ?? (await fromVendor(schema));
  const found = vendors && closed(vendors);
  if (!found)
    throw new InvalidDefinition(
      `${owner}: input is a ${schema["~standard"].vendor} schema without "~standard".jsonSchema; use zod 4, or a library that implements Standard JSON Schema.`,
    );
  if (found.type !== "object")
    throw new InvalidDefinition(`${owner}: input must be the schema of an object, such as z.object({ … }).`);
  return found;
}

/**
 * The JSON Schema of an answer of any type, for the form that asks for it.
 * @throws InvalidDefinition if the schema's library offers no JSON Schema.
 */
export async function answerSchemaOf(
  schema: StandardSchema,
  owner: string,
): Promise<{ [key: string]: Json }> {
  const own = schema["~standard"].jsonSchema?.input({ target: TARGET }) ?? (await fromVendor(schema));
  // A schema library's JSON Schema is JSON.
  if (own) return JSON.parse(JSON.stringify(own));
  throw new InvalidDefinition(
    `${owner}: the schema of its answer is a ${schema["~standard"].vendor} schema without "~standard".jsonSchema; use zod 4, or a library that implements Standard JSON Schema.`,
  );
}

/** Early releases of zod 4 have the conversion in the module. Imported only here, and only when deploying. */
async function fromVendor(schema: StandardSchema): Promise<ParametersSchema | null> {
  if (schema["~standard"].vendor !== "zod") return null;
  const name = "zod";
  const module: unknown = await import(name);
  if (!isRecord(module) || typeof module.toJSONSchema !== "function") return null;
  const found: unknown = module.toJSONSchema(schema, { io: "input", target: TARGET });
  return isRecord(found) ? found : null;
}
