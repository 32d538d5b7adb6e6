import { z } from "zod";
import {
  DeploymentName,
  DurationMs,
  Id,
  IfUpdatedAt,
  Instant,
  JsonObject,
  Name,
  PageQuery,
  StageQuery,
  Tags,
} from "../kernel/names.ts";
import { Troubles } from "../kernel/trouble.ts";
import { sealable } from "../sealing/fields.ts";
import { Timing } from "./timing.ts";

/**
 * What happens to scheduled times that were missed while the control plane was down: they are skipped, only the latest
 * runs, or all run. Older times than the schedule's window are skipped.
 */
export const CATCH_UP = ["none", "latest", "all"] as const;

/**
 * What happens at a scheduled time if the previous run has not ended: a concurrent run, no run, a run after the previous has
 * ended, or the previous run is cancelled first.
 */
export const OVERLAP = ["allow", "skip", "wait", "cancel-running"] as const;

/** The longest window for missed times, milliseconds: 30 days. */
export const CATCH_UP_WINDOW_MS_MAX: number = 30 * 24 * 3600 * 1000;

/** A time that is processed later than this counts as missed, milliseconds. `catchUp` says what happens then. */
export const MISSED_AFTER_MS: number = 60_000;

/** The longest `jitterMs`, milliseconds. */
export const JITTER_MS_MAX: number = 3600 * 1000;

/** Schedules of one deployment at most. */
export const SCHEDULES_MAX = 64;

/** A schedule's settings, from its deployment's code or a person. */
export const ScheduleSettings = z.strictObject({
  name: Name,
  timing: Timing,
  parameters: sealable("parameters", JsonObject.default({})),
  catchUp: z.enum(CATCH_UP).default("latest"),
  catchUpWindowMs: DurationMs.max(CATCH_UP_WINDOW_MS_MAX).default(24 * 3600 * 1000),
  overlap: z.enum(OVERLAP).default("allow"),
  jitterMs: DurationMs.max(JITTER_MS_MAX)
    .default(0)
    .describe("Each run is delayed by up to this time. The delay of a scheduled time is always the same."),
  startsAt: Instant.nullable().default(null).describe("No run before this time."),
  endsAt: Instant.nullable().default(null).describe("No run at or after this time."),
  priority: z.int().min(-100).max(100).default(0),
  tags: Tags.default([]),
  expireAfterMs: DurationMs.min(1_000)
    .optional()
    .describe(
      "Its runs fail with cause `expired` if no worker starts them within this time. Omitted: the deployment's default.",
    ),
});
export type ScheduleSettings = z.output<typeof ScheduleSettings>;
/** A schedule's settings before defaults are filled in. */
export type ScheduleSettingsInput = z.input<typeof ScheduleSettings>;

/** Creates or changes a schedule. */
export const SetSchedule = ScheduleSettings.extend({ ifUpdatedAt: IfUpdatedAt });
export type SetSchedule = z.output<typeof SetSchedule>;

/** A schedule as people see it. */
export const Schedule = ScheduleSettings.extend({
  id: Id,
  deployment: DeploymentName,
  source: z
    .enum(["code", "person"])
    .describe("Whether its settings come from the signed spec, or a person has set them."),
  paused: z.boolean(),
  fault: z
    .string()
    .nullable()
    .describe(
      "Why it could not be processed. It is processed again when its settings change. Null: no fault.",
    ),
  nextAt: Instant.nullable().describe("The next scheduled time. Null: paused, or there is none."),
  lastRunId: Id.nullable(),
  createdAt: Instant,
  updatedAt: Instant,
  troubles: Troubles,
});
export type Schedule = z.infer<typeof Schedule>;

/** Why a scheduled time has no run. */
export const SKIP_REASONS = [
  "catch-up",
  "window",
  "overlap",
  "paused",
  "invalid-parameters",
  "deployment-not-found",
] as const;

/** The run of a scheduled time, or why there is none. Successive skipped times are one row. */
export const ScheduleInstant = z.object({
  at: Instant,
  until: Instant.nullable().describe("The last of several skipped times in one row."),
  runId: Id.nullable(),
  skipped: z.enum(SKIP_REASONS).nullable(),
  decidedAt: Instant,
});
export type ScheduleInstant = z.infer<typeof ScheduleInstant>;

/** A future scheduled time. It is computed, not stored. */
export const UpcomingInstant = z.object({
  at: Instant,
  intervalStart: Instant.describe("The previous scheduled time. The data interval is from here to `at`."),
});

export type UpcomingInstant = z.infer<typeof UpcomingInstant>;

/** Which future times to list. */
export const UpcomingQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(10),
  after: Instant.optional().describe("Omitted: now."),
});

/** The most times of a preview. */
export const PREVIEWED_MAX = 50;

/** A timing whose next times are computed. Nothing is stored. */
export const PreviewSchedule = z.strictObject({
  timing: Timing,
  startsAt: Instant.nullable().default(null).describe("No run before this time."),
  endsAt: Instant.nullable().default(null).describe("No run at or after this time."),
  limit: z.int().min(1).max(PREVIEWED_MAX).default(10),
});
export type PreviewSchedule = z.output<typeof PreviewSchedule>;

/** Which schedule of which deployment. */
export const ScheduleParams = z.object({ name: DeploymentName, schedule: Name });

/** Filters of lists of schedules. */
export const ScheduleQuery = PageQuery.extend({ deployment: DeploymentName.optional(), stage: StageQuery });

/** The most scheduled times of a backfill. */
export const BACKFILL_INSTANTS_MAX = 10_000;

/** Which past times a backfill runs. */
export const BACKFILL_ONLY = ["all", "missing", "missing-or-failed"] as const;

/** Starts runs for past times of a schedule. */
export const CreateBackfill = z.strictObject({
  id: Id.describe("A UUIDv7 that the caller chooses. A repeated request creates no second backfill."),
  schedule: Name,
  from: Instant.describe("The first time, inclusive."),
  to: Instant.describe("The end, exclusive."),
  order: z.enum(["oldest", "newest"]).default("oldest").describe("Which times run first."),
  only: z
    .enum(BACKFILL_ONLY)
    .default("all")
    .describe(
      "`missing`: times without a run of the schedule or of a backfill. `missing-or-failed`: also times whose runs failed, crashed or were cancelled, unless a rerun completed. A deleted run counts as missing.",
    ),
  concurrency: z.int().min(1).max(1000).default(1).describe("The most runs of this backfill at once."),
  parameters: sealable("parameters", JsonObject).optional().describe("Replace the schedule's parameters."),
  dryRun: z.boolean().default(false).describe("Only returns what it would do."),
});
/** A request for a backfill with its defaults filled in. */
export type CreateBackfill = z.output<typeof CreateBackfill>;

/** A backfill: runs for past times of a schedule. */
export const Backfill = z.object({
  id: Id.nullable().describe("Null: a dry run."),
  deployment: DeploymentName,
  schedule: Name,
  from: Instant,
  to: Instant,
  order: z.enum(["oldest", "newest"]),
  only: z.enum(BACKFILL_ONLY).default("all"),
  concurrency: z.int(),
  state: z.enum(["running", "completed", "cancelled"]),
  instants: z.int(),
  created: z.int().describe("Runs that were created."),
  ended: z.int().describe("Created runs that have ended."),
  failed: z.int().describe("Ended runs that did not complete."),
  first: z.array(Instant).describe("The first times in its order, at most 10."),
  createdBy: z.string(),
  createdAt: Instant,
  endedAt: Instant.nullable(),
  troubles: Troubles,
});
export type Backfill = z.infer<typeof Backfill>;

/** Which backfill. */
export const BackfillParams = z.object({ backfillId: Id });
