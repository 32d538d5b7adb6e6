import { type Fault, type Json, LIMITS } from "@towpath/contract";
import type { CheckPool, NoAnswer } from "@towpath/contract/bounded";

type JsonObject = { [key: string]: Json };

/** How often a check is made again that got no answer on a machine that was busy with something else. */
const TRIES_MAX = 3;
/** All runs of a worker are of one workspace. */
const OWNER = "worker";
/** No fault of these parameters: the same check may get its answer the next time. */
const BUSY: readonly NoAnswer[] = ["slow-machine", "busy", "busy-owner"];

/**
 * Checks a run's parameters against its signed schema, in bounded time and memory: a schema may be silly, and a worker
 * serves other runs too.
 * @returns The faults; one of them that the check takes too much, if it does.
 */
export async function checkInTime(
  checks: CheckPool,
  args: { schema: JsonObject; parameters: JsonObject },
): Promise<readonly Fault[]> {
  const request = { owner: OWNER, schema: args.schema, values: [args.parameters], root: "parameters" };
  for (let tried = 1; ; tried += 1) {
    const [outcome] = await checks.check(request);
    if (outcome === undefined) return [];
    if ("faults" in outcome) return outcome.faults;
    if (!BUSY.includes(outcome.noAnswer) || tried >= TRIES_MAX) return [unchecked(outcome.noAnswer)];
  }
}

const SIMPLER = "simplify the deployment's schema and deploy again";

function unchecked(noAnswer: NoAnswer): Fault {
  const path = "parameters";
  if (noAnswer === "steps" || noAnswer === "depth" || noAnswer === "memory") {
    const message = `cannot be checked within ${LIMITS.checkSteps} steps: value and schema are too large together`;
    return { path, message, suggestion: `pass a ref to what is large, or ${SIMPLER}` };
  }
  const message = "could not be checked in time: the schema, or a pattern of it, takes too long";
  return { path, message, suggestion: SIMPLER };
}
