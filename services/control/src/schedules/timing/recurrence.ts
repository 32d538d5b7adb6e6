/** The instants of a schedule, as Unix times in milliseconds. They depend only on the schedule's timing. */
export interface Recurrence {
  /** The first instant after this time, exclusive; null if there is none. */
  next(afterMs: number): number | null;
  /** The last instant before this time, exclusive; null if there is none. */
  previous(beforeMs: number): number | null;
}

/** The same instants within bounds: from `startMs`, and before `endMs`. */
export function between(
  recurrence: Recurrence,
  bounds: { startMs: number | null; endMs: number | null },
): Recurrence {
  const { startMs, endMs } = bounds;
  const inside = (ms: number | null) =>
    ms !== null && (startMs === null || ms >= startMs) && (endMs === null || ms < endMs) ? ms : null;
  return {
    next: (afterMs) => inside(recurrence.next(startMs === null ? afterMs : Math.max(afterMs, startMs - 1))),
    previous: (beforeMs) =>
      inside(recurrence.previous(endMs === null ? beforeMs : Math.min(beforeMs, endMs))),
  };
}

/** Instants after a time, one by one. They may never end. */
export function* instantsAfter(recurrence: Recurrence, afterMs: number): Generator<number> {
  let at = recurrence.next(afterMs);
  while (at !== null) {
    yield at;
    at = recurrence.next(at);
  }
}
