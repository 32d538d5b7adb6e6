import { Problem, type Timing } from "@towpath/contract";
import { cronRecurrence } from "./cron.ts";
import { between, type Recurrence } from "./recurrence.ts";
import { rruleRecurrence } from "./rrule.ts";

/** Instants at equal distances from an anchor, in both directions. */
export function intervalRecurrence(everyMs: number, anchorMs: number): Recurrence {
  return {
    next: (afterMs) => anchorMs + (Math.floor((afterMs - anchorMs) / everyMs) + 1) * everyMs,
    previous: (beforeMs) => anchorMs + (Math.ceil((beforeMs - anchorMs) / everyMs) - 1) * everyMs,
  };
}

function recurrenceOf(timing: Timing): Recurrence {
  switch (timing.kind) {
    case "cron":
      return cronRecurrence(timing.cron, timing.zone);
    case "interval":
      return intervalRecurrence(timing.everyMs, Date.parse(timing.anchor));
    case "rrule":
      return rruleRecurrence(timing.rrule, timing.start, timing.zone);
  }
}

/** A schedule's timing and its bounds. */
export interface BoundedTiming {
  readonly timing: Timing;
  readonly startsAt: string | null;
  readonly endsAt: string | null;
}

const parsed = (instant: string | null) => (instant === null ? null : Date.parse(instant));

/**
 * The instants of a schedule.
 * @throws Error of the library if the rule is not valid.
 */
export function instantsOf(timed: BoundedTiming): Recurrence {
  const bounds = { startMs: parsed(timed.startsAt), endMs: parsed(timed.endsAt) };
  return between(recurrenceOf(timed.timing), bounds);
}

/**
 * The start of the data interval that ends at an instant: the previous instant of the rule, whatever the schedule's
 * bounds. A recurrence rule has none before its start. Its first interval is as long as its second.
 */
export function intervalStartOf(timed: BoundedTiming, atMs: number): number {
  const rule = recurrenceOf(timed.timing);
  const beforeMs = rule.previous(atMs);
  if (beforeMs !== null) return beforeMs;
  const afterMs = rule.next(atMs);
  return afterMs === null ? atMs : atMs - (afterMs - atMs);
}

/** The field of a timing that holds its rule. */
const RULE_FIELD = { cron: "timing.cron", interval: "timing.everyMs", rrule: "timing.rrule" } as const;

/** A rule with COUNT is counted from its start at every look, which takes 36 ms for the 9,000th hour. */
const COUNTED = /(^|;)\s*COUNT\s*=/i;

function refuseCounted(timing: Timing): void {
  if (timing.kind !== "rrule" || !COUNTED.test(timing.rrule)) return;
  const [path, message] = [
    "timing.rrule",
    "COUNT is not supported, because each check would count from the start of the rule",
  ];
  throw new Problem("invalid-schedule", `${path}: ${message}`, {
    faults: [{ path, message, suggestion: "set an end instead: endsAt, or `--until` on the command line" }],
  });
}

/**
 * Checks that a schedule's timing can be computed, by computing its first instant after `nowMs`.
 * @returns That instant, or null if there is none.
 * @throws Problem `invalid-schedule` naming the field.
 */
export function checkTiming(timed: BoundedTiming, nowMs: number): number | null {
  refuseCounted(timed.timing);
  try {
    const next = instantsOf(timed).next(nowMs);
    instantsOf(timed).previous(nowMs);
    return next;
  } catch (cause) {
    const path = RULE_FIELD[timed.timing.kind];
    const message = sentenceOf(cause).replace(/\.$/, "");
    const suggestion = "write a cron expression like `0 3 * * 1-5`, or a rule like `FREQ=MONTHLY;BYDAY=-1FR`";
    throw new Problem("invalid-schedule", `${path}: ${message}`, {
      faults: [{ path, message, suggestion }],
      cause,
    });
  }
}

/** The message of a library's error without the name of its class. */
export function sentenceOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/^\w+: /, "").slice(0, 300);
}
