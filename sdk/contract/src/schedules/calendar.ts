import { z } from "zod";
import { Instant } from "../kernel/names.ts";
import { SKIP_REASONS } from "./schedules.ts";
import { Zone } from "./timing.ts";

/** The longest span of a calendar, days. */
export const CALENDAR_DAYS_MAX = 120;

/** The most future times that a calendar counts. */
export const CALENDAR_DUE_MAX = 5_000;

/** The span of a calendar, at most `CALENDAR_DAYS_MAX` days. */
export const CalendarQuery = z
  .object({ from: Instant, to: Instant.describe("Exclusive.") })
  .refine(
    ({ from, to }) => Date.parse(to) - Date.parse(from) <= CALENDAR_DAYS_MAX * 24 * 3_600_000,
    `at most ${CALENDAR_DAYS_MAX} days`,
  );

const count = z.int().optional();

/**
 * A schedule's runs in one hour of its time zone. Counts of zero are left out.
 */
export const CalendarHour = z.object({
  at: Instant.describe("When the hour begins. If clocks go back, the repeated hour is listed twice."),
  on: z.iso.date().describe("The day in the time zone."),
  hour: z.int().min(0).max(23).describe("The hour of that day in the time zone."),
  completed: count,
  failed: count.describe("Failed or crashed."),
  cancelled: count,
  open: count.describe("Not ended yet."),
  skipped: count.describe("Scheduled times without a run. Several skipped times in one row count as one."),
  due: count.describe("Future scheduled times."),
});
export type CalendarHour = z.infer<typeof CalendarHour>;

/** Several skipped times in one row. */
export const CalendarStretch = z.object({ from: Instant, to: Instant, skipped: z.enum(SKIP_REASONS) });
export type CalendarStretch = z.infer<typeof CalendarStretch>;

/** Past and future runs of a schedule for each hour. */
export const Calendar = z.object({
  now: Instant.describe("The database's time of this answer. Runs are before it, future times after it."),
  zone: Zone.describe("The time zone of the hours and days: the schedule's, or UTC for an interval."),
  hours: z.array(CalendarHour).describe("In order. Empty hours are left out."),
  stretches: z.array(CalendarStretch),
  dueUntil: Instant.nullable().describe(
    `Instants to come are counted until here, because there are more than ${CALENDAR_DUE_MAX}. Null: all are.`,
  ),
});
export type Calendar = z.infer<typeof Calendar>;
