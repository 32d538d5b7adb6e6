import { type Fault, type Json, LIMITS, Problem } from "@towpath/contract";
import type { Deps } from "../kernel/index.ts";
import { checkWithin } from "./check-within.ts";
import type { PinnedVersion } from "./deployments.ts";

/**
 * Checks the parameters of a run against its version, in bounded time.
 * @throws Problem `payload-too-large`; `invalid-parameters` with faults.
 */
export function checkRunParameters(
  deps: Pick<Deps, "database">,
  a: {
    workspaceId: string;
    version: Pick<PinnedVersion, "name" | "spec">;
    parameters: { [key: string]: Json };
  },
): void {
  const { workspaceId, version, parameters } = a;
  const sizeBytes = Buffer.byteLength(JSON.stringify(parameters));
  if (sizeBytes > LIMITS.parametersBytes) {
    throw new Problem(
      "payload-too-large",
      `The parameters are ${sizeBytes} bytes; the limit is ${LIMITS.parametersBytes}.`,
    );
  }
  const schema = version.spec.parameters;
  const faults: Fault[] = checkWithin(deps.database, { workspaceId, schema, parameters });
  if (faults.length === 0) return;
  const first = faults[0];
  throw new Problem(
    "invalid-parameters",
    `Deployment "${version.name}" refuses ${first?.path ?? "the parameters"}: ${saidOf(first)}`,
    { faults },
  );
}

/** A fault as a sentence, with the next step where there is one. */
function saidOf(fault: Fault | undefined): string {
  const { message = "invalid", suggestion } = fault ?? {};
  const what = message.replace(/\.$/, "");
  return suggestion === undefined ? `${what}.` : `${what}; ${suggestion.replace(/[^?.]$/, "$&.")}`;
}

/** Where the checker says that a fault of an answer is. */
const ANSWER_PATH = /^parameters\./;

/**
 * Checks an answer to a question against its JSON Schema, in bounded time as parameters are.
 * @returns the faults, an empty list if it satisfies the schema
 */
export function checkAnswer(
  deps: Pick<Deps, "database">,
  a: { workspaceId: string; schema: { [key: string]: Json }; answer: Json },
): Fault[] {
  const { $defs, $schema: _, ...own } = a.schema;
  // The checker takes objects: definitions go to the root, where references look for them.
  const schema: { [key: string]: Json } = {
    ...($defs === undefined ? {} : { $defs }),
    ...{ type: "object", properties: { answer: own } },
  };
  const faults = checkWithin(deps.database, {
    ...{ workspaceId: a.workspaceId, schema, parameters: { answer: a.answer } },
  });
  return faults.map((fault) => ({ ...fault, path: fault.path.replace(ANSWER_PATH, "") }));
}
