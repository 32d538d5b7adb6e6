import {
  type Fault,
  isSchema,
  type Json,
  parameterKind,
  parametersOf,
  typedValue,
  typesOf,
} from "@towpath/contract";
import { CheckPool } from "@towpath/contract/bounded";
import { Failure } from "../failure.ts";

type Schema = { [key: string]: Json };

/** Splits a `-p` option. @throws Failure if it has no `=`. */
export function splitParameter(given: string): { name: string; text: string } {
  const at = given.indexOf("=");
  if (at > 0) return { name: given.slice(0, at), text: given.slice(at + 1) };
  throw new Failure(`"${given}" is not a parameter.`, {
    exit: "usage",
    next: ["write it as -p name=value; repeat -p for each parameter"],
  });
}

/** The command that starts a run of a deployment, with a place for each parameter that must be given. */
export function runCommand(deployment: string, schema: Schema): string {
  const needed = parametersOf(schema).filter(
    ({ name, required, standard }) => name !== "" && required && standard === null,
  );
  return ["towpath run", deployment, ...needed.map(({ name }) => `-p ${name}=…`), "--watch"].join(" ");
}

/** One line for each parameter of a schema: name, type, and default or whether it is required. */
export function parameterLines(schema: Schema): string[] {
  return parametersOf(schema)
    .filter(({ name }) => name !== "")
    .map((one) => `-p ${one.name}=…  ${parameterKind(one)}`);
}

function invalidParameters(
  deployment: string,
  args: { faults: readonly Fault[]; schema: Schema; message: string | undefined },
): Failure {
  const lines = parameterLines(args.schema);
  return new Failure(
    args.message ?? `The parameters do not match the schema of the deployment "${deployment}".`,
    {
      exit: "invalidInput",
      code: "invalid-parameters",
      faults: args.faults,
      next: lines.length === 0 ? [`\`towpath run ${deployment}\` takes no parameters`] : lines,
    },
  );
}

/** Checks parameters against a schema. If the check takes too long, the control plane does it. */
async function schemaFaults(schema: Schema, parameters: { [key: string]: Json }): Promise<readonly Fault[]> {
  const pool = new CheckPool({ threads: 1 });
  try {
    const request = { owner: "cli", schema, values: [parameters], root: "parameters" };
    const [outcome] = await pool.check(request);
    return outcome !== undefined && "faults" in outcome ? outcome.faults : [];
  } finally {
    await pool.close();
  }
}

/**
 * Converts `-p key=value` options by a deployment's JSON Schema: `n=3` becomes a number or text as the schema says. A value
 * without a known type is parsed as JSON, else it is text.
 * @param args.base Parameters that those override.
 * @param args.message The message of a refusal. @default that the parameters do not match the deployment's schema
 * @throws Failure with a fault for each value of the wrong type, unknown name and missing parameter.
 */
export async function parseParameters(
  deployment: string,
  args: {
    schema: Schema;
    given: readonly string[];
    base?: { readonly [key: string]: Json };
    message?: string;
  },
): Promise<{ [key: string]: Json }> {
  const { schema } = args;
  const properties = isSchema(schema.properties) ? schema.properties : {};
  const values = new Map<string, Json>();
  const faults: Fault[] = [];
  for (const { name, text } of args.given.map(splitParameter)) {
    const typed = typedValue(name, { text, types: typesOf(properties[name], schema) });
    if ("value" in typed) values.set(name, typed.value);
    else faults.push(typed);
  }
  const parameters = { ...args.base, ...Object.fromEntries(values) };
  const all = faults.length > 0 ? faults : await schemaFaults(schema, parameters);
  if (all.length > 0) throw invalidParameters(deployment, { faults: all, schema, message: args.message });
  return parameters;
}
