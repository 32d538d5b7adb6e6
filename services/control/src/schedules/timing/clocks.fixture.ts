/**
 * Computes instants by counting minutes, directly from the definition of a schedule and without the code under test.
 * Times are whole minutes since 1970. A `shown` time is what a zone's clock shows, read as if it were UTC.
 */

/** The oldest year in which every zone changes its clocks at a whole quarter of an hour. */
export const FIRST_YEAR = 2012;

const QUARTER = 15;

/** What a zone's clock shows at a minute. */
type Clock = (minute: number) => number;
const clocks = new Map<string, Clock>();

/** The clock of a zone. It caches its answers. */
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

/** A stretch of time. The end is exclusive. */
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

/** Whether a shown minute matches a cron expression of five fields. At least one of its two fields for days is open. */
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

/** Minutes before a stretch that are examined too, to find when a time is first shown. */
const BEFORE = 2 * 24 * 60;

/**
 * The minutes of a stretch at which a cron expression is due. An expression with a wildcard or step in minutes or hours
 * is due whenever the clock shows a match. Any other is due at the first match, or after the jump if the clock skips
 * it.
 */
export function cronMinutes(cron: string, zone: string, { from, to }: Stretch): number[] {
  const [clock, matches] = [clockOf(zone), matcher(cron)];
  const repeats = /[*/]/.test(cron.split(" ", 2).join(" "));
  const due: number[] = [];
  let latest = clock(from - BEFORE - 1);
  for (let minute = from - BEFORE; minute < to; minute++) {
    const shown = clock(minute);
    let isDue = repeats && matches(shown);
    // All times since the latest shown time, including this one: the clock may have jumped over some.
    if (!repeats) for (let one = latest + 1; one <= shown; one++) isDue ||= matches(one);
    latest = Math.max(latest, shown);
    if (isDue && minute >= from) due.push(minute);
  }
  return due;
}

/** The largest offset of a zone from UTC. */
const FARTHEST = 15 * 60;

/** The first minute at which a zone's clock shows a time. Null if the clock skips that time. */
export function minuteShowing(shown: number, zone: string): number | null {
  const clock = clockOf(zone);
  const rest = ((shown % QUARTER) + QUARTER) % QUARTER;
  for (let minute = shown - rest - FARTHEST; minute <= shown + FARTHEST; minute += QUARTER)
    if (clock(minute + rest) === shown) return minute + rest;
  return null;
}
