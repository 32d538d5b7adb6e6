import type { Json } from "../kernel/names.ts";

/** The deepest object whose defaults are filled in. */
const DEFAULTS_DEPTH_MAX = 16;

/**
 * Adds the schema's defaults for missing parameters, in nested objects, too, for a command. A flow's own schema does this
 * itself. Does not follow `$ref` or `anyOf`.
 * @returns A copy.
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
