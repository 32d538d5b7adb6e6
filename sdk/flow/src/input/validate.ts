import type { Fault } from "@towpath/contract/words";
import { InvalidParameters } from "../problem.ts";
import type { OutputOf, SchemaIssue, StandardSchema } from "./standard-schema.ts";

/** The most faults told at once. */
const FAULTS_MAX = 20;

function faultOf(root: string, issue: SchemaIssue): Fault {
  const keys = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  return { path: [root, ...keys].join("."), message: issue.message };
}

/** What a schema has found, each with the path of the field. @param root What the whole value is called. */
export function faultsOf(root: string, issues: readonly SchemaIssue[]): Fault[] {
  return issues.slice(0, FAULTS_MAX).map((issue) => faultOf(root, issue));
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
  if (answer.issues) throw new InvalidParameters(flow.name, faultsOf("parameters", answer.issues));
  return answer.value;
}
