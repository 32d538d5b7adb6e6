import { setImmediate as nextTurn } from "node:timers/promises";
import { pauseFor } from "./engine/settle.ts";

/** Time as the engine sees it; tests have their own. */
export interface Clock {
  /** Unix time in milliseconds, for records. */
  nowMs(): number;
  /** Milliseconds since some fixed moment, never going back: for durations. */
  monotonicMs(): number;
  /** Waits; rejects with the signal's reason when it aborts first. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  pause: pauseFor,
};

/** A clock for tests: a pause takes no time and moves the clock forward. */
export function fakeClock(): Clock {
  let skippedMs = 0;
  return {
    nowMs: () => systemClock.nowMs() + skippedMs,
    monotonicMs: () => systemClock.monotonicMs() + skippedMs,
    async pause(ms, signal) {
      signal.throwIfAborted();
      skippedMs += ms;
      await nextTurn();
      signal.throwIfAborted();
    },
  };
}

/** The current time as records carry it: ISO 8601 in UTC with milliseconds. */
export function instant(clock: Clock): string {
  return new Date(clock.nowMs()).toISOString();
}
