import { durationText } from "@towpath/contract";

export { durationText as duration };

/** The duration until now or until the end, milliseconds. Null before the start. */
export function elapsedMs(span: {
  startedAt: string | null;
  endedAt: string | null;
  now: number;
}): number | null {
  if (span.startedAt === null) return null;
  const end = span.endedAt === null ? span.now : Date.parse(span.endedAt);
  return Math.max(0, end - Date.parse(span.startedAt));
}

/** The duration until now or until the end, as a text. */
export function elapsed(span: { startedAt: string | null; endedAt: string | null; now: number }): string {
  const ms = elapsedMs(span);
  return ms === null ? "" : durationText(ms);
}

const STEPS = [
  { unit: "d", ms: 86_400_000 },
  { unit: "h", ms: 3_600_000 },
  { unit: "min", ms: 60_000 },
  { unit: "s", ms: 1_000 },
] as const;

/** A time relative to now, in its largest unit: `5 min ago`, `in 2 h`, `now`. */
export function ago(ms: number): string {
  const size = Math.abs(ms);
  const step = STEPS.find((one) => size >= one.ms);
  if (step === undefined) return "now";
  const text = `${Math.floor(size / step.ms)} ${step.unit}`;
  return ms < 0 ? `${text} ago` : `in ${text}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Formats an instant. Formats are cached: creating one takes as long as using it a hundred times. */
function format(instant: Date, options: Intl.DateTimeFormatOptions): string {
  const name = JSON.stringify(options);
  const found = formats.get(name) ?? new Intl.DateTimeFormat("en-GB", options);
  formats.set(name, found);
  return found.format(instant);
}

const CLOCK: Intl.DateTimeFormatOptions = {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
};

/** The time of day in the reader's zone, with milliseconds. */
export function timeOfDay(instant: string): string {
  const date = new Date(instant);
  const clock = format(date, CLOCK);
  return `${clock}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** The hour and minute in the reader's zone. */
export function clockTime(instant: string): string {
  return format(new Date(instant), { hour: "2-digit", minute: "2-digit" });
}

const LOCAL: Intl.DateTimeFormatOptions = {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
  timeZoneName: "short",
};

/** A date and time in the reader's zone, with the name of the zone. */
export function localTime(instant: string): string {
  return format(new Date(instant), LOCAL);
}

/** A date and time in a given zone, with the name of the zone. */
export function timeIn(instant: string, zone: string): string {
  const options = { ...LOCAL, year: "numeric", timeZone: zone, timeZoneName: "short" } as const;
  return format(new Date(instant), options);
}

/** The short name of the reader's zone at an instant, milliseconds since 1970: `CET`, `GMT+5:30`. */
export function zoneName(ms: number): string {
  // A format with only the zone name puts the date in front of it.
  return format(new Date(ms), { timeZoneName: "short" }).split(", ")[1] ?? "";
}

/** An instant in the reader's zone, in UTC, and in another zone if one is given. One row each. */
export function bothZones(instant: string, zone?: string): string {
  const local = format(new Date(instant), { ...LOCAL, year: "numeric" });
  const lines = [local, instant.replace("T", " ").replace("Z", " UTC")];
  return [...lines, ...(zone === undefined ? [] : [`${timeIn(instant, zone)}, ${zone}`])].join("\n");
}

/** A count with its noun: `1 run`, `1,204 runs`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** A size: `340 B`, `1.2 KB`. */
export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  if (size < 1_000_000) return `${(size / 1000).toFixed(1)} KB`;
  return `${(size / 1_000_000).toFixed(1)} MB`;
}
