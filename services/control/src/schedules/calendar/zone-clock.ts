/** An hour of local time in a zone. */
export interface ZonedHour {
  /** When it begins, milliseconds since 1970. */
  readonly startMs: number;
  /** `2026-03-29` */
  readonly on: string;
  readonly hour: number;
}

const QUARTER_MS = 15 * 60_000;

/**
 * Finds the local hour of an instant. All offsets in use are whole quarters of an hour, so each quarter lies in one
 * hour. When clocks repeat an hour, each of the two has a start of its own.
 */
export function hoursOf(zone: string): (ms: number) => ZonedHour {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  });
  const known = new Map<number, ZonedHour>();
  return (ms) => {
    const quarterMs = Math.floor(ms / QUARTER_MS) * QUARTER_MS;
    const found = known.get(quarterMs);
    if (found !== undefined) return found;
    const parts = new Map(format.formatToParts(quarterMs).map(({ type, value }) => [type, value]));
    const on = `${parts.get("year")}-${parts.get("month")}-${parts.get("day")}`;
    const startMs = quarterMs - Number(parts.get("minute")) * 60_000;
    const made = { startMs, on, hour: Number(parts.get("hour")) };
    known.set(quarterMs, made);
    return made;
  };
}
