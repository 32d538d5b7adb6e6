import { parseDuration, type TimingInput } from "@towpath/contract";
import { InvalidDefinition } from "../problem.ts";

/**
 * Due by a cron expression: five fields (minute, hour, day of month, month, day of week), or six with seconds in front.
 * @param zone Whose clocks count, such as `Europe/Berlin`. @default "UTC"
 * @example schedules: [{ name: "nightly", timing: cron("0 3 * * *", "Europe/Berlin") }]
 */
export function cron(expression: string, zone = "UTC"): TimingInput {
  return { kind: "cron", cron: expression, zone };
}

/**
 * Due at equal distances.
 * @param time Such as `"15m"` or `"1h30m"`.
 * @param anchor An instant (ISO 8601, UTC) at which it is due. @default 1970-01-01, so that whole hours stay whole
 * @throws InvalidDefinition if `time` is no length of time.
 */
export function every(time: string, anchor?: string): TimingInput {
  const everyMs = parseDuration(time);
  if (everyMs === null)
    throw new InvalidDefinition(`every("${time}"): write a length of time like 90s, 15m, 1h30m or 7d.`);
  return { kind: "interval", everyMs, ...(anchor !== undefined && { anchor }) };
}

/**
 * Due by a recurrence rule of RFC 5545.
 * @param options.start The first instant on the zone's clocks: `2026-01-30T09:00`.
 * @example rrule("FREQ=MONTHLY;BYDAY=-1FR", { start: "2026-01-30T09:00", zone: "Europe/Berlin" })
 */
export function rrule(rule: string, options: { start: string; zone?: string }): TimingInput {
  return { kind: "rrule", rrule: rule, start: options.start, zone: options.zone ?? "UTC" };
}
