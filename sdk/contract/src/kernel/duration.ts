/** Milliseconds of each unit in which people write lengths of time. */
const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** A length of time as people type it (`90s`, `15m`, `1h30m`, `30d`), in milliseconds; null if it is none. */
export function parseDuration(text: string): number | null {
  const parts = [...text.trim().matchAll(/(\d{1,9})\s*(ms|[smhdw])\s*/g)];
  const whole = parts.map(([part]) => part).join("");
  if (parts.length === 0 || whole !== text.trim()) return null;
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ""] ?? 0), 0);
}
