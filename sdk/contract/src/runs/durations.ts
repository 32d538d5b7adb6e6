import { z } from "zod";
import { Instant } from "../kernel/names.ts";
import { RunQuery, RunSummary } from "./runs.ts";

/** Of so many runs at most it is told how long they took. */
export const DURATIONS_MAX = 2_000;

/** Whose durations are asked for: the filters of a list of runs. */
export const DurationsQuery = RunQuery.omit({ limit: true, cursor: true, order: true });

/** How long the newest of the runs that filters find took, or have taken so far. */
export const RunDurations = z.object({
  items: z
    .array(
      RunSummary.pick({
        id: true,
        deployment: true,
        name: true,
        state: true,
        createdAt: true,
        startedAt: true,
        endedAt: true,
      }),
    )
    .max(DURATIONS_MAX)
    .describe("Those that have started, newest first."),
  since: Instant.nullable().describe(
    "Runs created before this instant are not among them, because there are too many. Null: these are all.",
  ),
});
export type RunDurations = z.infer<typeof RunDurations>;
