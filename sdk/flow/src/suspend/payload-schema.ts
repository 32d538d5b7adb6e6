import type { Json } from "@towpath/contract";
import { LIMITS } from "@towpath/contract/words";
import { answerSchemaOf } from "../input/json-schema.ts";
import type { StandardSchema } from "../input/standard-schema.ts";

/**
 * The JSON Schema by which the control plane refuses other payloads at their sender. Null if the library offers none, it
 * is too long, or it refuses payloads that the schema accepts. Then a payload is only checked where the event was awaited.
 */
export async function payloadSchemaOf(schema: StandardSchema): Promise<{ [key: string]: Json } | null> {
  try {
    if (schema["~standard"].vendor === "zod" && !isExact(schema, new Set())) return null;
    const found = await answerSchemaOf(schema, "suspend.event");
    return Buffer.byteLength(JSON.stringify(found)) <= LIMITS.waitSchemaBytes ? found : null;
  } catch {
    // The library cannot write this schema as JSON Schema.
    return null;
  }
}

/** The types of zod that change their input before they check it, or accept any. JSON Schema cannot express that. */
const CHANGING_TYPES: readonly unknown[] = ["pipe", "transform", "catch"];

/** The fields of a zod definition that contain other schemas: one, a list, or an object of them. */
const PARTS = [
  "innerType",
  "shape",
  "catchall",
  "element",
  "items",
  "rest",
  "options",
  "left",
  "right",
  "keyType",
  "valueType",
  "checks",
];

/**
 * Whether the JSON Schema of a zod schema, or of a list or an object of them, accepts all that the schema accepts.
 * @param seen The parts that are already checked: a schema may contain itself.
 */
function isExact(part: unknown, seen: Set<unknown>): boolean {
  if (typeof part !== "object" || part === null || seen.has(part)) return true;
  seen.add(part);
  const definition = fieldOf(fieldOf(part, "_zod"), "def");
  if (definition === undefined) return Object.values(part).every((one) => isExact(one, seen));
  if (changesInput(definition) || isNarrower(definition)) return false;
  const getter = fieldOf(definition, "getter");
  if (typeof getter === "function" && !isExact(getter(), seen)) return false;
  return PARTS.every((name) => isExact(fieldOf(definition, name), seen));
}

/** Whether a schema or a check, by its zod definition, changes its input: `.trim()` is a check that overwrites. */
function changesInput(definition: unknown): boolean {
  return (
    CHANGING_TYPES.includes(fieldOf(definition, "type")) ||
    fieldOf(definition, "coerce") === true ||
    fieldOf(definition, "check") === "overwrite"
  );
}

/**
 * Whether zod writes a definition as a narrower JSON Schema: a pattern loses its flags, a URL must be ASCII, and
 * alternatives that exclude each other lose their refinements.
 */
function isNarrower(definition: unknown): boolean {
  const pattern = fieldOf(definition, "pattern");
  const excludes =
    fieldOf(definition, "inclusive") === false && fieldOf(definition, "discriminator") === undefined;
  return (
    excludes ||
    fieldOf(definition, "format") === "url" ||
    (pattern instanceof RegExp && /[ims]/.test(pattern.flags))
  );
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
