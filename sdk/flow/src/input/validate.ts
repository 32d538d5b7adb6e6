import type { Fault } from "@towpath/contract/words";
import { InvalidParameters } from "../problem.ts";
import type { OutputOf, SchemaIssue, StandardSchema } from "./standard-schema.ts";

/** The most faults told at once. */
const FAULTS_MAX = 20;

function faultOf(issue: SchemaIssue): Fault {
  const keys = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  return { path: ["parameters", ...keys].join("."), message: issue.message };
}

/**
 * Validates a flow's parameters by its schema.
 * @returns The schema's output: defaults filled in, transforms applied.
 * @throws InvalidParameters naming each field that does not satisfy it.
 */
export async function validateInput<Schema extends StandardSchema>(
  flow: { readonly name: string; readonly input: Schema },
  parameters: unknown,
): Promise<OutputOf<Schema>> {
  const answer = await flow.input["~standard"].validate(parameters);
  if (answer.issues) throw new InvalidParameters(flow.name, answer.issues.slice(0, FAULTS_MAX).map(faultOf));
  return answer.value;
}
