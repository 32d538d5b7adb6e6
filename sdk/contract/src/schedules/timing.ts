import { z } from "zod";
import { Instant } from "../kernel/names.ts";

/** The shortest interval, milliseconds. */
export const INTERVAL_MS_MIN = 1000;

/** A schedule's time zone: a name of the IANA database, such as `Europe/Berlin`. */
export const Zone = z
  .string()
  .min(1)
  .max(64)
  .refine(isZone, "is not a time zone of the IANA database, such as Europe/Berlin");

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

/** A local time without its time zone: `2026-03-29T02:30`. */
const LocalTime = z.iso
  .datetime({ local: true, precision: 0 })
  .or(z.iso.datetime({ local: true, precision: -1 }));

/**
 * When a schedule runs. The times depend only on these fields, so anyone can compute them.
 *
 * - `cron`: five fields (minute, hour, day of month, month, day of week), or six with seconds in front. When clocks go
 *   forward, a time that they jump over is due at the first one that exists; when they go back, a fixed time is due
 *   once, at its first occurrence. A wildcard or step in seconds, minutes or hours follows elapsed time instead: neither
 *   an hour too many nor one too few.
 * - `interval`: every so many milliseconds from `anchor` in both directions; zones do not matter.
 * - `rrule`: a recurrence rule of RFC 5545 from `start` on the clocks of `zone`. As the RFC says, a time that clocks
 *   jump over is left out; one that they show twice is due once, at its first occurrence, whatever the frequency.
 */
export const Timing = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("cron"), cron: z.string().min(1).max(200), zone: Zone.default("UTC") }),
  z.strictObject({
    kind: z.literal("interval"),
    everyMs: z
      .int()
      .min(INTERVAL_MS_MIN)
      .max(366 * 24 * 3600 * 1000),
    anchor: Instant.default("1970-01-01T00:00:00.000Z"),
  }),
  z.strictObject({
    kind: z.literal("rrule"),
    rrule: z.string().min(1).max(1000).describe("Such as FREQ=MONTHLY;BYDAY=-1FR."),
    start: LocalTime.describe("DTSTART: the first time, in the time zone `zone`."),
    zone: Zone.default("UTC"),
  }),
]);
export type Timing = z.output<typeof Timing>;
/** When a schedule runs, before defaults are filled in. */
export type TimingInput = z.input<typeof Timing>;
