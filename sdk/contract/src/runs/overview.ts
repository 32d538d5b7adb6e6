import { z } from "zod";
import { Instant } from "../kernel/names.ts";
import { RunQuery, RunStateName, RunSummary } from "./runs.ts";

/** The number of equal periods in an overview's activity. */
export const OVERVIEW_STRETCHES = 48;

/** The time span of an overview. */
export const OverviewQuery = z.object({
  hours: z.coerce.number().int().min(1).max(168).default(24).describe("The time span, hours."),
});

/** What a restore of the control plane's database lost, as far as workers know more. */
export const RestoreNotice = z.object({
  at: Instant.describe("When the control plane noticed that its database was restored to an earlier state."),
  offered: z.int().describe("Attempts whose worker knew more than the database and reported it again."),
  unknownAttempts: z
    .int()
    .describe("Attempts that a worker reported and the database does not have. At most 1,000 are counted."),
  unknownOutcomes: z.int().describe("Attempts that got the error `OutcomeUnknown`."),
});
export type RestoreNotice = z.infer<typeof RestoreNotice>;

/** The state of a workspace: runs that have not ended, and the outcomes of recent runs. */
export const Overview = z.object({
  at: Instant.describe("The database's time of this answer."),
  live: z
    .array(z.object({ state: RunStateName, runs: z.int() }))
    .describe("Runs that have not ended, by state. States without runs are left out."),
  restored: RestoreNotice.nullable()
    .default(null)
    .describe(
      "What restores of the last 24 hours took back. Null: there was none, or no worker knew more than the database. A restart of the database alone is none.",
    ),
  stretchMs: z.int().describe("The length of one period."),
  activity: z
    .array(z.object({ from: Instant, state: RunStateName, runs: z.int() }))
    .describe("Runs that have ended, by state and by the period in which they were created."),
});
export type Overview = z.infer<typeof Overview>;

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
        workedMs: true,
        workingSince: true,
      }),
    )
    .max(DURATIONS_MAX)
    .describe("Runs that have started, newest first."),
  since: Instant.nullable().describe(
    "Runs created before this instant are not among them, because there are too many. Null: these are all.",
  ),
});
export type RunDurations = z.infer<typeof RunDurations>;
