import type { Recurrence } from "./recurrence.ts";

/** Instants at equal distances from an anchor, in both directions. */
export function intervalRecurrence(everyMs: number, anchorMs: number): Recurrence {
  return {
    next: (afterMs) => anchorMs + (Math.floor((afterMs - anchorMs) / everyMs) + 1) * everyMs,
    previous: (beforeMs) => anchorMs + (Math.ceil((beforeMs - anchorMs) / everyMs) - 1) * everyMs,
  };
}
