const DAY_MS = 24 * 3_600_000;
const MINUTE_MS = 60_000;

/** The most days whose offsets are cached for a zone. */
const DAYS_MAX = 1_000;

/** Zones are few, and their offsets do not change while the process runs. */
const known = new Map<string, ZoneOffset>();

/** The offsets of a zone from UTC. The answers are cached. */
export function offsetOf(zone: string): ZoneOffset {
  const offset = known.get(zone) ?? new ZoneOffset(zone);
  known.set(zone, offset);
  return offset;
}

class ZoneOffset {
  readonly #format: Intl.DateTimeFormat;
  readonly #byDay = new Map<number, number>();

  constructor(zone: string) {
    this.#format = new Intl.DateTimeFormat("en", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
  }

  /**
   * The offset in minutes if it is a whole number and constant at the start of every UTC day, from the day before
   * `fromMs` to the day after `toMs`; else null. No zone has ever changed its offset and back within a day.
   */
  steadyMinutes({ fromMs, toMs }: { fromMs: number; toMs: number }): number | null {
    const lastDay = Math.floor(toMs / DAY_MS) + 2;
    let day = Math.floor(fromMs / DAY_MS) - 1;
    const minutes = this.#minutesAt(day);
    if (!Number.isInteger(minutes)) return null;
    while (++day <= lastDay) if (this.#minutesAt(day) !== minutes) return null;
    return minutes;
  }

  #minutesAt(day: number): number {
    const found = this.#byDay.get(day);
    if (found !== undefined) return found;
    if (this.#byDay.size >= DAYS_MAX) this.#byDay.clear();
    const ms = day * DAY_MS;
    const parts = new Map(this.#format.formatToParts(ms).map(({ type, value }) => [type, value]));
    const [year = 0, month = 1, date, hour, minute, second] = (
      ["year", "month", "day", "hour", "minute", "second"] as const
    ).map((type) => Number(parts.get(type)));
    const shown = Date.UTC(year, month - 1, date, hour, minute, second);
    const minutes = (shown - ms) / MINUTE_MS;
    this.#byDay.set(day, minutes);
    return minutes;
  }
}
