import { ProblemBody, ROUTES } from "@towpath/contract";
import { z } from "zod";
import { VERBS } from "./liar.ts";

/**
 * Every field that a control plane sends to a worker, from the schemas: `claim.assignments[].spec`. The lists of alternatives are
 * joined. A test compares them with the fields that attacks abuse.
 */
export function wireFields(): string[] {
  const found = new Set<string>();
  for (const verb of VERBS) collect(z.toJSONSchema(ROUTES[verb].answer, { unrepresentable: "any" }), verb, found);
  collect(z.toJSONSchema(ProblemBody, { unrepresentable: "any" }), "problem", found);
  return [...found].sort();
}

type Schema = z.core.JSONSchema.JSONSchema;

function collect(schema: Schema | boolean | undefined, path: string, found: Set<string>): void {
  if (typeof schema !== "object") return;
  for (const one of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])])
    collect(one as Schema, path, found);
  for (const [name, one] of Object.entries(schema.properties ?? {})) {
    found.add(`${path}.${name}`);
    collect(one as Schema, `${path}.${name}`, found);
  }
  if (typeof schema.items === "object" && !Array.isArray(schema.items))
    collect(schema.items as Schema, `${path}[]`, found);
}
