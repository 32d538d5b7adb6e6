import { RRuleTemporal } from "rrule-temporal";
import { Temporal } from "temporal-polyfill";
import { dateOf } from "../../kernel/index.ts";
import type { Recurrence } from "./recurrence.ts";

/** Candidates that a rule may look at before it is refused: `FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30` never finds one. */
const ITERATIONS_MAX = 10_000;

/** An instant up to which a rule holds, itself included. */
const UNTIL = /(?<=^|[;:])\s*UNTIL\s*=\s*(\d{8}T\d{6}Z)\s*(;|$)/i;

/**
 * The instants of a recurrence rule of RFC 5545 on a zone's clocks. It counts by what they show, whatever its frequency: a time that
 * they jump over is left out, and one that they show twice is due once, when they show it first.
 *
 * The library is asked for the times that clocks show, as if they never changed: on a zone's own it loses hours for good where they
 * change between two of its candidates (`FREQ=MONTHLY;BYMONTHDAY=1` from 2012-07-30T03:00 in Africa/Casablanca).
 * @param start Its DTSTART, on those clocks: `2026-01-01T09:00`.
 * @throws Error if it is no rule.
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

/** How far a zone's clocks have ever been put back at most, and more. */
const PUT_BACK_MS = 24 * 3_600_000;

/** The instants at which a zone's clocks first show the times of a recurrence, which are written as if they were of UTC. */
function onClocks(shown: Recurrence, zone: string): Recurrence {
  return {
    next(afterMs) {
      // Whatever is shown up to there was shown before.
      let time = shown.next(shownAt(afterMs, zone));
      let ms = time === null ? null : firstShown(time, zone);
      while (time !== null && (ms === null || ms <= afterMs)) {
        time = shown.next(time);
        ms = time === null ? null : firstShown(time, zone);
      }
      return ms;
    },
    previous(beforeMs) {
      // Clocks that have just been put back have shown later times before.
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

/** Null for a time that the clocks jump over. */
function firstShown(time: number, zone: string): number | null {
  const local = Temporal.Instant.fromEpochMilliseconds(time).toZonedDateTimeISO("UTC").toPlainDateTime();
  const zoned = local.toZonedDateTime(zone, { disambiguation: "earlier" });
  return zoned.toPlainDateTime().equals(local) ? zoned.epochMilliseconds : null;
}
