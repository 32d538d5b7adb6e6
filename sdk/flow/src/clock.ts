/** Time as the engine sees it; tests have their own. */
export interface Clock {
  /** Unix time in milliseconds, for records. */
  nowMs(): number;
  /** Milliseconds since some fixed moment, never going back: for durations. */
  monotonicMs(): number;
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** An instant as records carry it: ISO 8601 in UTC with milliseconds. */
export function instant(clock: Clock): string {
  return new Date(clock.nowMs()).toISOString();
}
