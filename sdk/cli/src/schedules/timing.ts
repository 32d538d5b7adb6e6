import { Problem, parseDuration, parseTimeIn, type TimingInput, Zone } from "@towpath/contract";
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
  if (zone !== undefined && !Zone.safeParse(zone).success)
    throw refused(`--zone "${zone}" is not a time zone.`, "write a name of the IANA database: Europe/Berlin");
  if (cron !== undefined) return { kind: "cron", cron, ...inZone };
  if (every !== undefined && zone !== undefined)
    throw refused("An interval has no time zone.", "leave out --zone, or use --cron or --rrule");
  if (every !== undefined) return { kind: "interval", everyMs: durationOf("--every", every) };
  if (rrule !== undefined && start !== undefined) return { kind: "rrule", rrule, start, ...inZone };
  throw refused(
    "A recurrence rule needs a first time.",
    "give it as --start 2026-01-01T09:00, in the time zone of --zone",
  );
}

/** The options of the fields that the control plane may refuse. */
const OPTION_OF: Readonly<Record<string, string>> = {
  "timing.cron": "--cron",
  "timing.everyMs": "--every",
  "timing.rrule": "--rrule",
};

/** The same failure; a refused timing names the option in place of the field. */
export function withOptionNames(thrown: unknown): unknown {
  if (!(thrown instanceof Problem)) return thrown;
  const [fault] = thrown.faults;
  const option = OPTION_OF[fault?.path ?? ""];
  if (fault === undefined || option === undefined) return thrown;
  return new Problem(thrown.code, thrown.detail.replace(fault.path, option), {
    faults: [{ ...fault, path: option }],
    cause: thrown,
  });
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
  const at = parseTimeIn(zone, text);
  if (at !== null) return at;
  throw refused(`${option} "${text}" is not a time.`, next);
}
