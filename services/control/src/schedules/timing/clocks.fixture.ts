/**
 * Instants by counting minutes: what a schedule means, written out from its definition with nothing of what computes it.
 * All times are whole minutes since 1970; `shown` ones are what the clocks of a zone show, read as if they were of UTC.
 */

/** The oldest year in which every zone changes its clocks at a whole quarter of an hour. */
export const FIRST_YEAR = 2012;

const QUARTER = 15;

/** What a zone's clocks show at a minute. */
type Clock = (minute: number) => number;
const clocks = new Map<string, Clock>();

/** The clock of a zone. What it has shown once is remembered. */
export function clockOf(zone: string): Clock {
  const clock = clocks.get(zone) ?? newClock(zone);
  clocks.set(zone, clock);
  return clock;
}

function newClock(zone: string): Clock {
  const format = new Intl.DateTimeFormat("en", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
  });
  const offsets = new Map<number, number>();
  return (minute) => {
    const quarter = Math.floor(minute / QUARTER) * QUARTER;
    const known = offsets.get(quarter);
    if (known !== undefined) return minute + known;
    const parts = new Map(format.formatToParts(quarter * 60_000).map(({ type, value }) => [type, value]));
    const [year = 0, month = 1, ...rest] = (["year", "month", "day", "hour", "minute"] as const).map((type) =>
      Number(parts.get(type)),
    );
    const offset = Date.UTC(year, month - 1, ...rest) / 60_000 - quarter;
    offsets.set(quarter, offset);
    return minute + offset;
  };
}

/** A stretch of time, its end excluded. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** The first minute of each change of a zone's clocks in a year. */
export function changesIn(zone: string, year: number): number[] {
  const clock = clockOf(zone);
  const [from, to] = [Date.UTC(year, 0) / 60_000, Date.UTC(year + 1, 0) / 60_000];
  const offset = (minute: number) => clock(minute) - minute;
  const found: number[] = [];
  for (let day = from; day < to; day += 24 * 60) {
    if (offset(day) === offset(day + 24 * 60)) continue;
    for (let at = day; at < day + 24 * 60; at += QUARTER)
      if (offset(at) !== offset(at + QUARTER)) found.push(at + QUARTER);
  }
  return found;
}

/** The values that a field of a cron expression allows. */
function allowed(field: string, args: { min: number; max: number }): ReadonlySet<number> {
  const values = field.split(",").flatMap((part) => {
    const [range = "*", step = "1"] = part.split("/");
    const [first = args.min, last = range === "*" ? args.max : first] =
      range === "*" ? [] : range.split("-").map(Number);
    const all = [];
    for (let value = first; value <= last; value += Number(step)) all.push(value);
    return all;
  });
  return new Set(values);
}

/** Whether a shown minute is one of a cron expression of five fields, of whose two fields for days at least one is open. */
function matcher(cron: string): (shown: number) => boolean {
  const [minute = "*", hour = "*", day = "*", month = "*", weekday = "*"] = cron.split(" ");
  const minutes = allowed(minute, { min: 0, max: 59 });
  const hours = allowed(hour, { min: 0, max: 23 });
  const days = allowed(day, { min: 1, max: 31 });
  const months = allowed(month, { min: 1, max: 12 });
  const weekdays = allowed(weekday, { min: 0, max: 6 });
  return (shown) => {
    const at = new Date(shown * 60_000);
    return (
      minutes.has(at.getUTCMinutes()) &&
      hours.has(at.getUTCHours()) &&
      days.has(at.getUTCDate()) &&
      months.has(at.getUTCMonth() + 1) &&
      weekdays.has(at.getUTCDay())
    );
  };
}

/** Days before a stretch that are walked too: who shows a time first must be known. */
const BEFORE = 2 * 24 * 60;

/**
 * The minutes of a stretch at which a cron expression is due. One with a wildcard or step in minutes or hours is due whenever the clocks
 * show it. Any other is due when they show it first, and where they jump over it, when they have jumped.
 */
export function cronMinutes(cron: string, zone: string, { from, to }: Stretch): number[] {
  const [clock, matches] = [clockOf(zone), matcher(cron)];
  const repeats = /[*/]/.test(cron.split(" ", 2).join(" "));
  const due: number[] = [];
  let latest = clock(from - BEFORE - 1);
  for (let minute = from - BEFORE; minute < to; minute++) {
    const shown = clock(minute);
    let isDue = repeats && matches(shown);
    // Whatever the clocks have come past since the latest time that they have shown, and it.
    if (!repeats) for (let one = latest + 1; one <= shown; one++) isDue ||= matches(one);
    latest = Math.max(latest, shown);
    if (isDue && minute >= from) due.push(minute);
  }
  return due;
}

/** The farthest that a zone's clocks are from UTC. */
const FARTHEST = 15 * 60;

/** The first minute at which a zone's clocks show a time; null if they jump over it. */
export function minuteShowing(shown: number, zone: string): number | null {
  const clock = clockOf(zone);
  const rest = ((shown % QUARTER) + QUARTER) % QUARTER;
  for (let minute = shown - rest - FARTHEST; minute <= shown + FARTHEST; minute += QUARTER)
    if (clock(minute + rest) === shown) return minute + rest;
  return null;
}
