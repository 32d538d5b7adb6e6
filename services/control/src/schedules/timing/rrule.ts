import { RRuleTemporal } from "rrule-temporal";
import { Temporal } from "temporal-polyfill";
import { dateOf } from "../../kernel/index.ts";
import type { Recurrence } from "./recurrence.ts";

/** The most candidates that a rule may examine: `FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30` never finds one. */
const ITERATIONS_MAX = 10_000;

/** The UNTIL of a rule, which includes that instant. */
const UNTIL = /(?<=^|[;:])\s*UNTIL\s*=\s*(\d{8}T\d{6}Z)\s*(;|$)/i;

/**
 * The instants of an RFC 5545 recurrence rule in a time zone. Rules count in local time at every frequency. A time that
 * the clock skips is left out. A time that it repeats is due once, when it is first shown.
 *
 * The library computes in UTC, because with a zone it loses hours when the offset changes between two candidates
 * (`FREQ=MONTHLY;BYMONTHDAY=1` from 2012-07-30T03:00 in Africa/Casablanca).
 * @param start The rule's DTSTART in local time: `2026-01-01T09:00`.
 * @throws Error if the rule is not valid.
 */
export function rruleRecurrence(rrule: string, start: string, zone: string): Recurrence {
  const dtstart = Temporal.PlainDateTime.from(start).toZonedDateTime("UTC");
  const rruleString = rrule.replace(UNTIL, "").replace(/;$/, "");
  const rule = new RRuleTemporal({
    rruleString,
    dtstart,
    temporal: Temporal,
    maxIterations: ITERATIONS_MAX,
  });
  const shown: Recurrence = {
    next: (afterMs) => rule.next(dateOf(afterMs))?.epochMilliseconds ?? null,
    previous: (beforeMs) => rule.previous(dateOf(beforeMs))?.epochMilliseconds ?? null,
  };
  const untilMs = untilOf(rrule);
  const { next, previous } = onClocks(shown, zone);
  return {
    next(afterMs) {
      const ms = next(afterMs);
      return ms !== null && ms <= untilMs ? ms : null;
    },
    previous: (beforeMs) => previous(Math.min(beforeMs, untilMs + 1)),
  };
}

function untilOf(rrule: string): number {
  const text = UNTIL.exec(rrule)?.[1];
  return text === undefined ? Number.POSITIVE_INFINITY : Temporal.Instant.from(text).epochMilliseconds;
}

/** More than any zone has ever put its clocks back. */
const PUT_BACK_MS = 24 * 3_600_000;

/** The instants at which a zone's clock first shows the times of a recurrence, which are written as if they were UTC. */
function onClocks(shown: Recurrence, zone: string): Recurrence {
  return {
    next(afterMs) {
      // All times up to this one have been shown before.
      let time = shown.next(shownAt(afterMs, zone));
      let ms = time === null ? null : firstShown(time, zone);
      while (time !== null && (ms === null || ms <= afterMs)) {
        time = shown.next(time);
        ms = time === null ? null : firstShown(time, zone);
      }
      return ms;
    },
    previous(beforeMs) {
      // Just after the clock is put back, later times have been shown already.
      let time = shown.previous(shownAt(beforeMs, zone) + PUT_BACK_MS);
      let ms = time === null ? null : firstShown(time, zone);
      while (time !== null && (ms === null || ms >= beforeMs)) {
        time = shown.previous(time);
        ms = time === null ? null : firstShown(time, zone);
      }
      return ms;
    },
  };
}

function shownAt(ms: number, zone: string): number {
  const zoned = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(zone);
  return zoned.toPlainDateTime().toZonedDateTime("UTC").epochMilliseconds;
}

/** Null for a time that the clock skips. */
function firstShown(time: number, zone: string): number | null {
  const local = Temporal.Instant.fromEpochMilliseconds(time).toZonedDateTimeISO("UTC").toPlainDateTime();
  const zoned = local.toZonedDateTime(zone, { disambiguation: "earlier" });
  return zoned.toPlainDateTime().equals(local) ? zoned.epochMilliseconds : null;
}
