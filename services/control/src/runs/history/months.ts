/** How many months are prepared beside the current one. */
const MONTHS_AHEAD = 2;

/** One calendar month in UTC. */
export interface Month {
  /** `y2026m01` */
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
}

function monthAt(year: number, index: number): Month {
  const startMs = Date.UTC(year, index);
  const start = new Date(startMs);
  const month = `${start.getUTCMonth() + 1}`.padStart(2, "0");
  return { name: `y${start.getUTCFullYear()}m${month}`, startMs, endMs: Date.UTC(year, index + 1) };
}

/** The month that holds an instant. */
export function monthOf(atMs: number): Month {
  const at = new Date(atMs);
  return monthAt(at.getUTCFullYear(), at.getUTCMonth());
}

/** The month that holds an instant, and the next ones: those that need partitions. */
export function comingMonths(nowMs: number): Month[] {
  const now = new Date(nowMs);
  return Array.from({ length: 1 + MONTHS_AHEAD }, (_, ahead) =>
    monthAt(now.getUTCFullYear(), now.getUTCMonth() + ahead),
  );
}
