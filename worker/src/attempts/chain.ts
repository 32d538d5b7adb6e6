import type { Assignment } from "@towpath/contract";

/** The first run of the chain of reruns that reuse results; else the run itself. */
export function originOf({ trigger, runId }: Pick<Assignment, "trigger" | "runId">): string {
  return trigger.kind === "rerun" && trigger.fromFailure ? trigger.origin : runId;
}
