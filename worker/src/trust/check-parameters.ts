import { type Fault, type Json, LIMITS } from "@towpath/contract";
import type { CheckPool, NoAnswer } from "@towpath/contract/bounded";
import { Refusal } from "./refusal.ts";

type JsonObject = { [key: string]: Json };

/** How often a check is repeated that had no answer on a busy machine. */
const TRIES_MAX = 3;
/** All runs of a worker belong to one workspace. */
const OWNER = "worker";
/** Not a fault of the parameters: another check may have an answer. */
const BUSY: readonly NoAnswer[] = ["slow-machine", "busy", "busy-owner"];

/**
 * Checks a run's parameters against its signed schema, with limits on time and memory, because a schema may be costly.
 * @returns The faults. A check beyond its limits is one of them.
 * @throws Refusal `unchecked` if this machine is too busy: the run then waits.
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
    if (!BUSY.includes(outcome.noAnswer)) return [unchecked(outcome.noAnswer)];
    if (tried >= TRIES_MAX)
      throw new Refusal(
        "unchecked",
        "This worker's machine is too busy to check the run's parameters now. The run waits. If it waits for long, give the machine more CPU, or the worker less capacity.",
      );
  }
}

const SIMPLER = "simplify the deployment's schema and deploy again";

function unchecked(noAnswer: NoAnswer): Fault {
  const path = "parameters";
  if (noAnswer === "steps" || noAnswer === "depth" || noAnswer === "memory") {
    const message = `cannot be checked within ${LIMITS.checkSteps} steps: value and schema are too large together`;
    return { path, message, suggestion: `pass a ref to the large value, or ${SIMPLER}` };
  }
  const message = "could not be checked in time: the schema, or a pattern of it, takes too long";
  return { path, message, suggestion: SIMPLER };
}
