import { ORIGINS } from "../sealing/place.ts";
import type { Trigger } from "./runs.ts";

/**
 * What the parameters of a run may have been sealed for, by its trigger. A run of a schedule has those of the schedule, and a rerun may
 * have those of any earlier run. An entry that ends with `/` means everything below it.
 */
export function parameterOrigins({ runId, trigger }: { runId: string; trigger: Trigger }): string[] {
  const own = ORIGINS.run(runId);
  switch (trigger.kind) {
    case "person":
    case "run":
      return [own];
    case "schedule":
      return [ORIGINS.schedule(trigger.schedule)];
    case "backfill":
      return [ORIGINS.backfill(trigger.backfillId), ORIGINS.schedule(trigger.schedule)];
    case "rerun":
      return [own, "run/", "schedule/", "backfill/"];
  }
}
