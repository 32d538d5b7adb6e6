import type { Calendar, CalendarHour } from "@towpath/contract";
import type { View } from "./search.ts";

const HOUR_MS = 3_600_000;
/** Days in the view by hours, before today and from today on. */
const HOURS_VIEW = { before: 9, from: 5 };
/** Days in the view by days, before today and from today on. */
const DAYS_VIEW = { before: 12 * 7, from: 2 * 7 };

/** The counts of one cell. */
export type Counts = Omit<CalendarHour, "at" | "on" | "hour">;

/** The time span of a cell, or of half a cell. */
export interface Slot {
  readonly fromMs: number;
  readonly toMs: number;
  readonly counts: Counts;
  /** Some of its runs were skipped together with others. */
  readonly inStretch: boolean;
}

/** A day in the zone, with the slots of each hour: two when clocks go back, none when they go forward. */
export interface Day {
  readonly on: string;
  readonly hours: readonly (readonly Slot[])[];
}

/** The span of a view: whole days in the zone, or whole weeks. */
export function spanOf(view: View, args: { nowMs: number; zone: string }): { fromMs: number; toMs: number } {
  const { before, from } = view === "hours" ? HOURS_VIEW : DAYS_VIEW;
  const first = midnightBefore(args.nowMs - before * 24 * HOUR_MS, args.zone);
  const fromMs = view === "hours" ? first : mondayBefore(first, args.zone);
  return { fromMs, toMs: midnightBefore(args.nowMs + from * 24 * HOUR_MS, args.zone) };
}

/** The last start of a day in a zone, at or before an instant. */
function midnightBefore(ms: number, zone: string): number {
  const { hour, minute } = zonedTime(ms, zone);
  const near = Math.floor(ms / 60_000) * 60_000 - minute * 60_000 - hour * HOUR_MS;
  // A change of clocks on this day shifts it by an hour.
  const off = zonedTime(near, zone).hour;
  if (off === 0) return near;
  return off > 12 ? near + (24 - off) * HOUR_MS : near - off * HOUR_MS;
}

function mondayBefore(midnightMs: number, zone: string): number {
  const { on } = zonedTime(midnightMs, zone);
  const back = (new Date(`${on}T00:00:00Z`).getUTCDay() + 6) % 7;
  return midnightBefore(midnightMs - back * 24 * HOUR_MS + 12 * HOUR_MS, zone);
}

function isWithin(calendar: Calendar, slot: { fromMs: number; toMs: number }): boolean {
  return calendar.stretches.some(
    ({ from, to }) => Date.parse(from) < slot.toMs && Date.parse(to) >= slot.fromMs,
  );
}

/** The days of a span with their hours, oldest first. */
export function daysOf(calendar: Calendar, span: { fromMs: number; toMs: number }): Day[] {
  const byStart = new Map(calendar.hours.map((one) => [Date.parse(one.at), one]));
  const days: { on: string; hours: Slot[][] }[] = [];
  for (let fromMs = span.fromMs; fromMs < span.toMs; fromMs += HOUR_MS) {
    const { on, hour } = zonedTime(fromMs, calendar.zone);
    if (days.at(-1)?.on !== on) days.push({ on, hours: Array.from({ length: 24 }, () => []) });
    const { at: _, on: _on, hour: _hour, ...counts } = byStart.get(fromMs) ?? { at: "", on, hour };
    const slot = { fromMs, toMs: fromMs + HOUR_MS };
    days.at(-1)?.hours[hour]?.push({ ...slot, counts, inStretch: isWithin(calendar, slot) });
  }
  return days;
}

/** A whole day as one slot. */
export function dayAsSlot(day: Day): Slot {
  const slots = day.hours.flat();
  const counts: Record<string, number> = {};
  for (const slot of slots)
    for (const [what, count] of Object.entries(slot.counts))
      counts[what] = (counts[what] ?? 0) + (count ?? 0);
  return {
    fromMs: slots[0]?.fromMs ?? 0,
    toMs: slots.at(-1)?.toMs ?? 0,
    counts,
    inStretch: slots.some((slot) => slot.inStretch),
  };
}

/** The most runs of one slot. It has the strongest colour. */
export function mostOf(slots: readonly Slot[]): number {
  return Math.max(1, ...slots.map(({ counts }) => (counts.completed ?? 0) + (counts.failed ?? 0)));
}

const WORDS: readonly (readonly [keyof Counts, string])[] = [
  ["completed", "completed"],
  ["failed", "failed"],
  ["cancelled", "cancelled"],
  ["open", "not ended"],
  ["skipped", "skipped"],
  ["due", "due"],
];

/** The counts of a slot as text. */
export function wordsOf({ counts, inStretch }: Slot): string {
  const words = WORDS.flatMap(([what, word]) =>
    counts[what] ? [`${counts[what].toLocaleString("en")} ${word}`] : [],
  );
  if (inStretch && !counts.skipped) words.push("skipped with others");
  return words.join(", ") || "no runs";
}

/** Date and time in a zone. */
interface ZonedTime {
  /** `2026-03-29` */
  readonly on: string;
  readonly hour: number;
  readonly minute: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  const made = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  });
  formats.set(zone, made);
  return made;
}

/** The date and time in a zone at an instant, milliseconds since 1970. */
function zonedTime(ms: number, zone: string): ZonedTime {
  const parts = new Map(
    formatOf(zone)
      .formatToParts(ms)
      .map(({ type, value }) => [type, value]),
  );
  return {
    on: `${parts.get("year")}-${parts.get("month")}-${parts.get("day")}`,
    hour: Number(parts.get("hour")),
    minute: Number(parts.get("minute")),
  };
}
