import type { Fault } from "@towpath/contract/words";
import { InvalidParameters } from "../problem.ts";

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

/**
 * The Standard Schema interface (standardschema.dev, version 1), which zod, valibot, arktype and others implement.
 * Copied, as its specification recommends, so that no schema library is a dependency.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    /** From the Standard JSON Schema extension; libraries may lack it. */
    readonly jsonSchema?: { readonly input: (options: { target: string }) => Record<string, unknown> };
  };
}

/** What validation answers: the value, or issues. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One issue, with the place it was found at. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What callers pass to a flow of this schema. */
export type InputOf<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["input"];

/** What the flow's function receives. */
export type OutputOf<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["output"];
