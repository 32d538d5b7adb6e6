/** The milliseconds of each unit of a duration. */
const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Parses a duration (`90s`, `15m`, `1h30m`, `30d`) into milliseconds. Null if it is not one. */
export function parseDuration(text: string): number | null {
  const parts = [...text.trim().matchAll(/(\d{1,9})\s*(ms|[smhdw])\s*/g)];
  const whole = parts.map(([part]) => part).join("");
  if (parts.length === 0 || whole !== text.trim()) return null;
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ""] ?? 0), 0);
}

/** Units of a duration, each with the next smaller one and its width in digits. */
const PARTS = [
  { unit: "d", ms: 86_400_000, from: 2 * 86_400_000, rest: "h", restMs: 3_600_000, digits: 1 },
  { unit: "h", ms: 3_600_000, from: 3_600_000, rest: "min", restMs: 60_000, digits: 2 },
  { unit: "min", ms: 60_000, from: 60_000, rest: "s", restMs: 1_000, digits: 2 },
] as const;

/** A readable duration: `840 ms`, `12.4 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`. Zeros are left out: `5 min`. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const part = PARTS.find(({ from }) => ms >= from);
  if (part === undefined) return `${ms % 1000 === 0 ? ms / 1000 : (Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const whole = `${Math.floor(ms / part.ms)} ${part.unit}`;
  if (ms % part.ms === 0) return whole;
  const rest = Math.floor((ms % part.ms) / part.restMs);
  return `${whole} ${String(rest).padStart(part.digits, "0")} ${part.rest}`;
}
