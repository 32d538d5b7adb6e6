import { z } from "zod";
import { Instant } from "../kernel/names.ts";
import { SKIP_REASONS } from "./schedules.ts";
import { Zone } from "./timing.ts";

/** The longest span of a calendar, days. */
export const CALENDAR_DAYS_MAX = 120;

/** Instants to come that a calendar counts at most. */
export const CALENDAR_DUE_MAX = 5_000;

/** From when until when: at most `CALENDAR_DAYS_MAX` days. */
export const CalendarQuery = z
  .object({ from: Instant, to: Instant.describe("Exclusive.") })
  .refine(
    ({ from, to }) => Date.parse(to) - Date.parse(from) <= CALENDAR_DAYS_MAX * 24 * 3_600_000,
    `at most ${CALENDAR_DAYS_MAX} days`,
  );

const count = z.int().optional();

/**
 * What a schedule did, or will do, in one hour on the clocks of its zone. Counts of nothing are left out.
 */
export const CalendarHour = z.object({
  at: Instant.describe("When the hour begins. Of two hours that clocks show alike, each is one."),
  on: z.iso.date().describe("The day on the clocks of the zone."),
  hour: z.int().min(0).max(23).describe("The hour of that day on the clocks of the zone."),
  completed: count,
  failed: count.describe("Failed or crashed."),
  cancelled: count,
  open: count.describe("Not ended yet."),
  skipped: count.describe("Instants without a run; a stretch that was skipped as one counts as one."),
  due: count.describe("Instants to come."),
});
export type CalendarHour = z.infer<typeof CalendarHour>;

/** A stretch of instants that were skipped as one. */
export const CalendarStretch = z.object({ from: Instant, to: Instant, skipped: z.enum(SKIP_REASONS) });
export type CalendarStretch = z.infer<typeof CalendarStretch>;

/** Past and coming runs of a schedule by the hour. */
export const Calendar = z.object({
  now: Instant.describe("The database's time of this answer: before it are runs, after it instants to come."),
  zone: Zone.describe("Whose hours and days these are: the schedule's, or UTC for an interval."),
  hours: z.array(CalendarHour).describe("In order; hours in which nothing happens are left out."),
  stretches: z.array(CalendarStretch),
  dueUntil: Instant.nullable().describe(
    `Instants to come are counted until here, because there are more than ${CALENDAR_DUE_MAX}. Null: all are.`,
  ),
});
export type Calendar = z.infer<typeof Calendar>;
