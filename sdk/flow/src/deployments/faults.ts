import { closest } from "@towpath/contract/words";
import type { z } from "zod";
import { InvalidDefinition } from "../problem.ts";

/** A field that a schema does not know, with the one that was meant. */
function unknownFields(keys: readonly string[], known: readonly string[]): string[] {
  return keys.map((key) => {
    const near = closest(key, known);
    const advice = near === null ? `known: ${known.join(", ")}` : `did you mean "${near}"?`;
    return `\n  unknown option "${key}"; ${advice}`;
  });
}

function linesOf(issue: z.core.$ZodIssue, known: readonly string[]): string[] {
  if (issue.code === "unrecognized_keys" && issue.path.length === 0) return unknownFields(issue.keys, known);
  return [`\n  ${issue.path.join(".") || "it"}: ${issue.message}`];
}

/**
 * Checks options by a schema.
 * @throws InvalidDefinition naming the owner and every field that is wrong.
 */
export function checkOptions<Schema extends z.ZodObject>(
  owner: string,
  schema: Schema,
  options: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const known = Object.keys(schema.shape);
  const lines = parsed.error.issues.flatMap((issue) => linesOf(issue, known));
  throw new InvalidDefinition(`${owner} is not valid:${lines.join("")}`);
}
