import { z } from "zod";
import { Instant } from "../kernel/names.ts";
import { RunStateName } from "./runs.ts";

/** How many stretches of equal length an overview's activity has. */
export const OVERVIEW_STRETCHES = 48;

/** The span of time that an overview looks back over. */
export const OverviewQuery = z.object({
  hours: z.coerce.number().int().min(1).max(168).default(24).describe("How far back, hours."),
});

/** What a restore of the control plane's database took back, as far as workers know more than it does. */
export const RestoreNotice = z.object({
  at: Instant.describe("When the control plane noticed that its database had gone back."),
  offered: z.int().describe("Attempts of which a worker knew more than the database, and offered it again."),
  unknownAttempts: z
    .int()
    .describe("Attempts that a worker offered and the database does not have. At most 1,000 are counted."),
  unknownOutcomes: z.int().describe("Attempts that got the error `OutcomeUnknown`."),
});
export type RestoreNotice = z.infer<typeof RestoreNotice>;

/** How a workspace stands: what has not ended, and what has become of what was created lately. */
export const Overview = z.object({
  at: Instant.describe("The database's time of this answer."),
  live: z
    .array(z.object({ state: RunStateName, runs: z.int() }))
    .describe("Runs that have not ended, by state; states of no run are left out."),
  restored: RestoreNotice.nullable()
    .default(null)
    .describe(
      "What restores of the last 24 hours took back. Null: there was none, or no worker knew more than the database. A restart of the database alone is none.",
    ),
  stretchMs: z.int().describe("The length of one stretch."),
  activity: z
    .array(z.object({ from: Instant, state: RunStateName, runs: z.int() }))
    .describe("Runs that have ended, by the stretch in which they were created and by state."),
});
export type Overview = z.infer<typeof Overview>;
