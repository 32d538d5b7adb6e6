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
 * Every field of a wire schema as a dotted path: `held[].epoch`. A map or free JSON is one field.
 * A test compares the inventory in DATA.md with it.
 */
export function fieldsOf(type: z.ZodType): string[] {
  const found = new Set<string>();
  collect(z.toJSONSchema(type, { io: "input", unrepresentable: "any" }), "", found);
  return [...found].sort();
}

/**
 * Counts the fields in a value by dotted path, with an inventory of `fieldsOf`. What lies below a field where the inventory
 * ends (free JSON, a map) is content and is not counted.
 */
export function fieldsIn(value: unknown, inventory: ReadonlySet<string>): Map<string, number> {
  const containers = new Set([...inventory].flatMap(containersOf));
  const found = new Map<string, number>();
  const visit = (part: unknown, path: string): void => {
    if (Array.isArray(part)) {
      if (path === "" || containers.has(path)) for (const item of part) visit(item, `${path}[]`);
    } else if (typeof part === "object" && part !== null && (path === "" || containers.has(path))) {
      for (const [name, child] of Object.entries(part)) {
        const field = path === "" ? name : `${path}.${name}`;
        found.set(field, (found.get(field) ?? 0) + 1);
        visit(child, field);
      }
    }
  };
  visit(value, "");
  return found;
}

/** The fields that a field lies in: `a[].b` lies in `a[]` and `a`. */
function containersOf(field: string): string[] {
  return [...field.matchAll(/\[\]|\./g)]
    .map((match) => field.slice(0, match.index))
    .concat([...field.matchAll(/\[\]/g)].map((match) => field.slice(0, match.index + 2)));
}
