import { z } from "zod";
import { Instant } from "../kernel/names.ts";
import { RunQuery, RunSummary } from "./runs.ts";

/** At most this many runs are included. */
export const DURATIONS_MAX = 2_000;

/** The filters of a list of runs. */
export const DurationsQuery = RunQuery.omit({ limit: true, cursor: true, order: true });

/** The durations of the newest matching runs, or their time so far. */
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
    .describe("Runs that have started, newest first."),
  since: Instant.nullable().describe(
    "Runs created before this instant are not among them, because there are too many. Null: these are all.",
  ),
});
export type RunDurations = z.infer<typeof RunDurations>;
