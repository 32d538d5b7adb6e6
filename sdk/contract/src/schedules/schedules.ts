import { z } from "zod";
import { DurationMs, Id, Instant, JsonObject, Name, PageQuery, Tags } from "../kernel/names.ts";
import { Troubles } from "../kernel/trouble.ts";
import { Timing } from "./timing.ts";

/**
 * What becomes of instants that nobody looked at while the control plane was away: they are skipped, the latest of them
 * runs, or all do. Looks back no further than the schedule's window.
 */
export const CATCH_UP = ["none", "latest", "all"] as const;

/**
 * What happens at an instant while the schedule's previous run has not ended: another run beside it, no run, a run once
 * the previous has ended, or the previous is cancelled first.
 */
export const OVERLAP = ["allow", "skip", "wait", "cancel-running"] as const;

/** The longest that catching up looks back, milliseconds: 30 days. */
export const CATCH_UP_WINDOW_MS_MAX: number = 30 * 24 * 3600 * 1000;

/** An instant that is later than this when it is decided was missed, milliseconds: `catchUp` says what becomes of it. */
export const MISSED_AFTER_MS: number = 60_000;

/** The longest that `jitterMs` puts a run off, milliseconds. */
export const JITTER_MS_MAX: number = 3600 * 1000;

/** Schedules of one deployment at most. */
export const SCHEDULES_MAX = 64;

/** What a schedule is told, by its deployment's code or by a person. */
export const ScheduleSettings = z.strictObject({
  name: Name,
  timing: Timing,
  parameters: JsonObject.default({}),
  catchUp: z.enum(CATCH_UP).default("latest"),
  catchUpWindowMs: DurationMs.max(CATCH_UP_WINDOW_MS_MAX).default(24 * 3600 * 1000),
  overlap: z.enum(OVERLAP).default("allow"),
  jitterMs: DurationMs.max(JITTER_MS_MAX)
    .default(0)
    .describe("Each run is put off by up to this much, always by the same for the same instant."),
  startsAt: Instant.nullable().default(null).describe("No instant before this one."),
  endsAt: Instant.nullable().default(null).describe("No instant from this one on."),
  priority: z.int().min(-100).max(100).default(0),
  tags: Tags.default([]),
  expireAfterMs: DurationMs.min(1_000)
    .optional()
    .describe(
      "Its runs fail with cause `expired` if no worker has started them so long after they were due. Omitted: what the deployment says.",
    ),
});
export type ScheduleSettings = z.output<typeof ScheduleSettings>;
/** What a schedule is told, as somebody writes it. */
export type ScheduleSettingsInput = z.input<typeof ScheduleSettings>;

/** A schedule as people see it. */
export const Schedule = ScheduleSettings.extend({
  id: Id,
  deployment: Name,
  source: z
    .enum(["code", "person"])
    .describe("Whether its settings are those of the signed spec, or a person has set them since."),
  paused: z.boolean(),
  fault: z
    .string()
    .nullable()
    .describe("Why it could not be decided, if so; it is looked at again once it is set anew."),
  nextAt: Instant.nullable().describe("The next instant. Null: paused, or there is none."),
  lastRunId: Id.nullable(),
  createdAt: Instant,
  updatedAt: Instant,
  troubles: Troubles,
});
export type Schedule = z.infer<typeof Schedule>;

/** Why an instant has no run. */
export const SKIP_REASONS = [
  "catch-up",
  "window",
  "overlap",
  "paused",
  "invalid-parameters",
  "deployment-not-found",
] as const;

/** What was decided at an instant: a run, or why there is none. A stretch of skipped instants is one row. */
export const ScheduleInstant = z.object({
  at: Instant,
  until: Instant.nullable().describe("The last instant of a stretch that was skipped as one."),
  runId: Id.nullable(),
  skipped: z.enum(SKIP_REASONS).nullable(),
  decidedAt: Instant,
});
export type ScheduleInstant = z.infer<typeof ScheduleInstant>;

/** An instant to come, computed, not stored. */
export const UpcomingInstant = z.object({
  at: Instant,
  intervalStart: Instant.describe("The instant before: the data interval is from there up to `at`."),
});

export type UpcomingInstant = z.infer<typeof UpcomingInstant>;

/** Asks for instants to come. */
export const UpcomingQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(10),
  after: Instant.optional().describe("Omitted: now."),
});

/** Which schedule of which deployment. */
export const ScheduleParams = z.object({ name: Name, schedule: Name });

/** What lists of schedules can be narrowed by. */
export const ScheduleQuery = PageQuery.extend({ deployment: Name.optional() });

/** The largest backfill, instants. */
export const BACKFILL_INSTANTS_MAX = 10_000;

/** Asks for the runs of past instants of a schedule. */
export const CreateBackfill = z.strictObject({
  id: Id.describe("A UUIDv7 chosen by the caller: repeating the request is the same backfill."),
  schedule: Name,
  from: Instant.describe("The first instant, inclusive."),
  to: Instant.describe("Exclusive."),
  order: z.enum(["oldest", "newest"]).default("oldest").describe("Which instants go first."),
  concurrency: z
    .int()
    .min(1)
    .max(1000)
    .default(1)
    .describe("Runs of this backfill that have not ended, at most."),
  parameters: JsonObject.optional().describe("Instead of the schedule's."),
  dryRun: z.boolean().default(false).describe("Only says what it would do."),
});
/** A request for a backfill with its defaults filled in. */
export type CreateBackfill = z.output<typeof CreateBackfill>;

/** The runs of past instants of a schedule. */
export const Backfill = z.object({
  id: Id.nullable().describe("Null: a dry run."),
  deployment: Name,
  schedule: Name,
  from: Instant,
  to: Instant,
  order: z.enum(["oldest", "newest"]),
  concurrency: z.int(),
  state: z.enum(["running", "completed", "cancelled"]),
  instants: z.int(),
  created: z.int().describe("Runs that were asked for."),
  ended: z.int().describe("Of these, how many have ended, in whatever way."),
  failed: z.int().describe("Of those, how many did not complete."),
  first: z.array(Instant).describe("The first instants in its order, at most 10."),
  createdBy: z.string(),
  createdAt: Instant,
  endedAt: Instant.nullable(),
  troubles: Troubles,
});
export type Backfill = z.infer<typeof Backfill>;

/** Which backfill. */
export const BackfillParams = z.object({ backfillId: Id });
