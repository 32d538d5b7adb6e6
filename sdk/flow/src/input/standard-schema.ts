import type { Fault } from "@towpath/contract/words";
import { InvalidParameters } from "../problem.ts";

/** The most faults in one error. */
const FAULTS_MAX = 20;

function faultOf(root: string, issue: SchemaIssue): Fault {
  const keys = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  return { path: [root, ...keys].join("."), message: issue.message };
}

/** The issues of a schema as faults. @param root The name of the whole value. */
export function faultsOf(root: string, issues: readonly SchemaIssue[]): Fault[] {
  return issues.slice(0, FAULTS_MAX).map((issue) => faultOf(root, issue));
}

/**
 * Validates a flow's parameters with its schema.
 * @returns The schema's output: defaults filled in, transforms applied.
 * @throws InvalidParameters naming each invalid field.
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

/** The result of a validation: the value, or issues. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One issue, with the path of its field. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The input type of a schema. */
export type InputOf<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["input"];

/** The output type of a schema: what the flow's function receives. */
export type OutputOf<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["output"];
