import { readFileSync } from "node:fs";
import { setTimeout as timerSleep } from "node:timers/promises";

/** Something that tells a time in milliseconds; which zero it counts from is the implementation's to say. */
export interface Clock {
  nowMs(): number;
}

/**
 * Waits for a time, or until the signal aborts.
 * @throws the signal's reason (wrapped by Node in an `AbortError`) when aborted.
 */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** The wall clock, in milliseconds since 1970. For ages of files and for people; never for a lease. */
export const wallClock: Clock = { nowMs: () => Date.now() };

/** The real timer behind `Sleep`. */
export const sleep: Sleep = async (ms, signal) => {
  await timerSleep(ms, undefined, signal ? { signal } : {});
};

/** What a boot-time clock reads; replaced in tests. */
export interface BootTimeSources {
  /** Seconds since boot with suspended time counted, or undefined where the system has no such figure. */
  readUptimeSeconds(): number | undefined;
  /** A monotonic clock in milliseconds that may stand still while the machine sleeps. */
  monotonicMs(): number;
}

const realSources: BootTimeSources = { readUptimeSeconds, monotonicMs: () => performance.now() };

/**
 * A monotonic clock that goes on counting while the machine is suspended, for measuring leases.
 *
 * Node does not expose CLOCK_BOOTTIME. On Linux `/proc/uptime` is that clock, but in steps of 10 ms;
 * `performance.now()` is CLOCK_MONOTONIC, fine-grained, and stops during suspend. Both tick at the same
 * rate, so their difference only ever grows, by the time spent suspended. Each call therefore raises an
 * offset to `uptime - monotonic` when that is larger, and answers `monotonic + offset`. Uptime is read
 * *before* the monotonic clock and is truncated, so the offset is never too large: the clock
 * never runs ahead, never goes back, and lags by at most one 10 ms step after a suspend.
 *
 * On Linux the value is milliseconds since boot, so it may be compared between two processes of one boot
 * (see `readBootId` of the contract). Elsewhere it is `performance.now()` alone, relative to this process.
 */
export function bootTimeClock(sources: BootTimeSources = realSources): Clock {
  let offsetMs = Number.NEGATIVE_INFINITY;
  return {
    nowMs() {
      const uptimeSeconds = sources.readUptimeSeconds();
      const monotonicMs = sources.monotonicMs();
      const seenMs = uptimeSeconds === undefined ? 0 : uptimeSeconds * 1000 - monotonicMs;
      // An unreadable uptime must not pull a clock that already knows its offset backwards.
      if (seenMs > offsetMs && (uptimeSeconds !== undefined || offsetMs === Number.NEGATIVE_INFINITY)) {
        offsetMs = seenMs;
      }
      return monotonicMs + offsetMs;
    },
  };
}

function readUptimeSeconds(): number | undefined {
  try {
    const seconds = Number.parseFloat(readFileSync("/proc/uptime", "latin1"));
    return Number.isFinite(seconds) ? seconds : undefined;
  } catch {
    return undefined;
  }
}
