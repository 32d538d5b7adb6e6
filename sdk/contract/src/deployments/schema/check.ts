import type { Json } from "../../kernel/names.ts";
import type { Fault } from "../../kernel/problems.ts";
import { check } from "./subschemas.ts";
import { type Allowance, Compiled, type GivenUp, Stopped, Walk } from "./walk.ts";

export { Compiled };

/** The faults of a value; or why there is no answer within what the check was allowed. */
export type Checked =
  | { readonly faults: readonly Fault[]; readonly givenUp: null }
  | { readonly faults: null; readonly givenUp: GivenUp };

/**
 * Checks a value against a JSON Schema (2020-12) by interpreting it, so that a hostile one cannot run code. Counts its steps,
 * and gives up once they are used up. Stops at 20 faults. Never quotes the value in a message.
 * @param args.root What the paths of faults begin with.
 */
export function checkValue(compiled: Compiled, args: Allowance & { value: Json; root: string }): Checked {
  const walk = new Walk(compiled, args);
  try {
    check(walk, compiled.root, { value: args.value, place: null, quiet: false, seen: null });
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    if (error.why !== "faults") return { faults: null, givenUp: error.why };
  }
  return { faults: walk.faults, givenUp: null };
}
