import { type TaskDifference, tookMs } from "@towpath/client/run-difference";
import type { ShownCalls } from "../list/search.ts";

/** One call of two runs. */
export interface CompareRow {
  readonly difference: TaskDifference;
  readonly beforeMs: number | null;
  readonly afterMs: number | null;
  /** The additional duration in the second run, milliseconds. */
  readonly deltaMs: number | null;
}

/** A difference of durations is shown if it exceeds this part of the duration and this many milliseconds. */
const NOTABLE_PART = 0.1;
const NOTABLE_MS = 50;

/** Whether a difference of durations is more than chance. */
export function isNotable({ beforeMs, deltaMs }: CompareRow): boolean {
  if (deltaMs === null || beforeMs === null) return false;
  return Math.abs(deltaMs) >= NOTABLE_MS && Math.abs(deltaMs) >= beforeMs * NOTABLE_PART;
}

/** The calls of a comparison with their durations. */
export function compareRows(tasks: readonly TaskDifference[]): CompareRow[] {
  return tasks.map((difference) => {
    const beforeMs = difference.before && tookMs(difference.before);
    const afterMs = difference.after && tookMs(difference.after);
    return {
      difference,
      beforeMs,
      afterMs,
      deltaMs: beforeMs === null || afterMs === null ? null : afterMs - beforeMs,
    };
  });
}

const isOneSided = ({ difference }: CompareRow) => difference.before === null || difference.after === null;

const CHOSEN: Record<ShownCalls, (row: CompareRow) => boolean> = {
  differing: (row) => row.difference.differs.length > 0 || isOneSided(row),
  slower: (row) => isNotable(row) && (row.deltaMs ?? 0) > 0,
  "one-sided": isOneSided,
  all: () => true,
};

/** The rows of a filter: slower calls by difference, all others in their order. */
export function rowsShown(rows: readonly CompareRow[], shown: ShownCalls): CompareRow[] {
  const found = rows.filter(CHOSEN[shown]);
  return shown === "slower" ? found.sort((a, b) => (b.deltaMs ?? 0) - (a.deltaMs ?? 0)) : found;
}
