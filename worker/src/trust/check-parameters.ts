import { checkParameters, type Fault, type Json } from "@towpath/contract";
import { isCostly, within } from "@towpath/contract/bounded";

type JsonObject = { [key: string]: Json };

/** How long one check may keep the worker from its other runs, milliseconds. */
const BUDGET_MS = 500;
/** How often a check is made again that ran out of time on a machine that was busy with something else. */
const TRIES_MAX = 3;

/**
 * Checks a run's parameters as `checkParameters` does, in bounded time: a signed schema may be silly, and a worker serves other
 * runs too.
 * @returns The faults; one of them that the check takes too long, if it does.
 */
export function checkInTime(a: { schema: JsonObject; parameters: JsonObject }): Fault[] {
  const check = () => checkParameters(a.schema, a.parameters);
  if (!isCostly(a.schema)) return check();
  for (let tried = 1; ; tried += 1) {
    const before = process.cpuUsage();
    const checked = within(BUDGET_MS, check);
    if (checked !== "out of time") return checked.done;
    const { user, system } = process.cpuUsage(before);
    const wasBusyElsewhere = (user + system) / 1_000 < BUDGET_MS / 2;
    if (!wasBusyElsewhere || tried >= TRIES_MAX) return [tooLong()];
  }
}

function tooLong(): Fault {
  const message = `could not be checked within ${BUDGET_MS} ms: a pattern or reference of the schema takes too long`;
  return { path: "parameters", message, suggestion: "simplify the deployment's schema and deploy again" };
}
