import { type TaskDifference, tookMs } from "@towpath/client/run-difference";
import type { ShownCalls } from "./compare-shown.ts";

/** One call in two runs, as a row. */
export interface CompareRow {
  readonly difference: TaskDifference;
  readonly beforeMs: number | null;
  readonly afterMs: number | null;
  /** By how much it took longer in the second, milliseconds. */
  readonly deltaMs: number | null;
}

/** A call took longer, or less, when it did so by this part of its time and by this much. */
const NOTABLE_PART = 0.1;
const NOTABLE_MS = 50;

/** Whether a difference of times is more than chance makes. */
export function isNotable({ beforeMs, deltaMs }: CompareRow): boolean {
  if (deltaMs === null || beforeMs === null) return false;
  return Math.abs(deltaMs) >= NOTABLE_MS && Math.abs(deltaMs) >= beforeMs * NOTABLE_PART;
}

/** The calls of a comparison with their times. */
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

/** The rows that a choice lists: the slower ones by how much, the others in order of appearance. */
export function rowsShown(rows: readonly CompareRow[], shown: ShownCalls): CompareRow[] {
  const found = rows.filter(CHOSEN[shown]);
  return shown === "slower" ? found.sort((a, b) => (b.deltaMs ?? 0) - (a.deltaMs ?? 0)) : found;
}
