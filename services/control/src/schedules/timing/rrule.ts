import { RRuleTemporal } from "rrule-temporal";
import { Temporal } from "temporal-polyfill";
import { dateOf } from "../../kernel/index.ts";
import type { Recurrence } from "./recurrence.ts";

/** Candidates that a rule may look at before it is refused: `FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30` never finds one. */
const ITERATIONS_MAX = 10_000;

/**
 * The instants of a recurrence rule of RFC 5545 on a zone's clocks.
 * @param start Its DTSTART, on those clocks: `2026-01-01T09:00`.
 * @throws Error if it is no rule, or the time does not exist.
 */
export function rruleRecurrence(rrule: string, start: string, zone: string): Recurrence {
  const dtstart = Temporal.PlainDateTime.from(start).toZonedDateTime(zone);
  const rule = new RRuleTemporal({
    ...{ rruleString: rrule, dtstart, temporal: Temporal, maxIterations: ITERATIONS_MAX },
  });
  return {
    next: (afterMs) => rule.next(dateOf(afterMs))?.epochMilliseconds ?? null,
    previous: (beforeMs) => rule.previous(dateOf(beforeMs))?.epochMilliseconds ?? null,
  };
}
