import { z } from "zod";

type Schema = { [key: string]: unknown };

function isSchema(value: unknown): value is Schema {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function collect(schema: unknown, path: string, found: Set<string>): void {
  if (!isSchema(schema)) return;
  for (const key of ["anyOf", "oneOf", "allOf"] as const) {
    const branches = schema[key];
    if (Array.isArray(branches)) for (const branch of branches) collect(branch, path, found);
  }
  if (isSchema(schema.items)) collect(schema.items, `${path}[]`, found);
  if (isSchema(schema.properties)) {
    for (const [name, child] of Object.entries(schema.properties)) {
      const field = path === "" ? name : `${path}.${name}`;
      found.add(field);
      collect(child, field, found);
    }
  }
}

/**
 * Every field that a wire schema can carry, as dotted paths: `held[].epoch`. Maps and free JSON end at their own name.
 * The inventory of what leaves a private network is checked against it.
 */
export function fieldsOf(type: z.ZodType): string[] {
  const found = new Set<string>();
  collect(z.toJSONSchema(type, { io: "input", unrepresentable: "any" }), "", found);
  return [...found].sort();
}
