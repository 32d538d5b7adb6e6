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

/** The instant at which the clocks of a zone show a time. At a change of the clocks, one near it. */
function instantIn(zone: string, localMs: number): number {
  const nearMs = localMs - (shownMs(localMs, zone) - localMs);
  return nearMs - (shownMs(nearMs, zone) - localMs);
}

const LOCAL_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?)?$/;

/**
 * Parses a time in ISO 8601. A time without an offset, or a day, is in the zone.
 * @returns the instant in UTC. Null: the text is not a time.
 */
export function parseTimeIn(zone: string, text: string): string | null {
  const isLocal = LOCAL_TIME.test(text);
  const isZoned = /(Z|[+-]\d{2}:?\d{2})$/.test(text);
  const localMs = isLocal ? Date.parse(text.includes("T") ? `${text}Z` : text) : Number.NaN;
  const ms = isZoned ? Date.parse(text) : Number.isNaN(localMs) ? localMs : instantIn(zone, localMs);
  return Number.isNaN(ms) ? null : new Date(ms).toISOString();
}
