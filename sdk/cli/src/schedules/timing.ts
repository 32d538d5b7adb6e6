import { parseDuration, type TimingInput } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { formatDuration } from "../kernel/duration.ts";

/** The options that set a schedule's times: one of `cron`, `every` and `rrule`. */
export interface TimingOptions {
  readonly cron?: string | undefined;
  readonly every?: string | undefined;
  readonly rrule?: string | undefined;
  readonly start?: string | undefined;
  readonly zone?: string | undefined;
}

function refused(message: string, next: string): Failure {
  return new Failure(message, { exit: "usage", next: [next] });
}

/** Parses an option that is a duration into milliseconds. @throws Failure that names the option. */
export function durationOf(option: string, text: string): number {
  const ms = parseDuration(text);
  if (ms !== null) return ms;
  throw refused(`${option} "${text}" is not a duration.`, "write it like 90s, 15m, 1h30m or 7d");
}

/**
 * Reads the timing from the options.
 * @throws Failure unless exactly one kind of timing is given, with all that it needs.
 */
export function timingOf(options: TimingOptions): TimingInput {
  const { cron, every, rrule, start, zone } = options;
  const kinds = [cron, every, rrule].filter((one) => one !== undefined);
  if (kinds.length !== 1)
    throw refused(
      kinds.length === 0 ? "The schedule has no timing." : "A schedule can have only one timing.",
      'give one of --cron "0 3 * * *", --every 15m, or --rrule "FREQ=MONTHLY;BYDAY=-1FR" --start 2026-01-01T09:00',
    );
  const inZone = zone === undefined ? {} : { zone };
  if (cron !== undefined) return { kind: "cron", cron, ...inZone };
  if (every !== undefined) return { kind: "interval", everyMs: durationOf("--every", every) };
  if (rrule !== undefined && start !== undefined) return { kind: "rrule", rrule, start, ...inZone };
  throw refused(
    "A recurrence rule needs a first time.",
    "give it as --start 2026-01-01T09:00, in the time zone of --zone",
  );
}

/** A timing as lists show it. */
export function timingText(timing: TimingInput): string {
  switch (timing.kind) {
    case "cron":
      return `${timing.cron}  ${timing.zone ?? "UTC"}`;
    case "interval":
      return `every ${formatDuration(timing.everyMs)}`;
    case "rrule":
      return `${timing.rrule}  ${timing.zone ?? "UTC"}`;
  }
}

/** The time zone of a timing. Intervals count in UTC. */
export function zoneOf(timing: TimingInput): string {
  return timing.kind === "interval" ? "UTC" : (timing.zone ?? "UTC");
}

/** What the clocks of a zone show at an instant, as if it were UTC, milliseconds. */
function shownMs(ms: number, zone: string): number {
  const fields = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
  const times = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, ...fields, ...times });
  return Date.parse(`${format.format(ms).replace(" ", "T")}Z`);
}

/** An instant as ISO 8601 in a time zone, to the second: `2026-11-23T03:00:00+01:00`. */
export function textInZone(at: string, zone: string): string {
  const ms = Math.floor(Date.parse(at) / 1000) * 1000;
  const local = shownMs(ms, zone);
  const minutes = Math.round((local - ms) / 60_000);
  const two = (value: number) => String(value).padStart(2, "0");
  const size = Math.abs(minutes);
  const offset = `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
  return `${new Date(local).toISOString().slice(0, 19)}${minutes === 0 ? "Z" : offset}`;
}

/**
 * Parses an option that is a time in ISO 8601, or a duration before or after now, such as `2h`. A time without an offset
 * is in UTC.
 * @throws Failure that names the option.
 */
export function nearInstantOf(
  option: string,
  args: { text: string; nowMs: number; direction: "ago" | "ahead" },
): string {
  const ms = parseDuration(args.text);
  const next =
    "write it as a duration such as 2h, or like 2026-01-31T09:00+01:00; without an offset it is in UTC";
  if (ms === null) return instantOf(option, args.text, "UTC", next);
  return new Date(args.direction === "ago" ? args.nowMs - ms : args.nowMs + ms).toISOString();
}

/** The instant at which the clocks of a zone show a time. At a change of the clocks, one near it. */
function instantIn(zone: string, localMs: number): number {
  const nearMs = localMs - (shownMs(localMs, zone) - localMs);
  return nearMs - (shownMs(nearMs, zone) - localMs);
}

const LOCAL_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?)?$/;

/**
 * Parses an option that is a time in ISO 8601. A time without an offset, or a day, is in the schedule's time zone.
 * @throws Failure that names the option.
 */
export function instantOf(
  option: string,
  text: string,
  zone: string,
  next = "write it like 2026-01-31 or 2026-01-31T09:00 in the schedule's time zone, or like 2026-01-31T09:00+01:00",
): string {
  const isLocal = LOCAL_TIME.test(text);
  const isZoned = /(Z|[+-]\d{2}:?\d{2})$/.test(text);
  const localMs = isLocal ? Date.parse(text.includes("T") ? `${text}Z` : text) : Number.NaN;
  const ms = isZoned ? Date.parse(text) : Number.isNaN(localMs) ? localMs : instantIn(zone, localMs);
  if (!Number.isNaN(ms)) return new Date(ms).toISOString();
  throw refused(`${option} "${text}" is not a time.`, next);
}
