import { readFileSync } from "node:fs";
import { setTimeout as timerSleep } from "node:timers/promises";

/** Tells a time in milliseconds. The implementation says which zero it counts from. */
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

/**
 * Calls a function as soon as a clock has reached a time. A timer may fire a millisecond early, and the function would then find that it
 * is too soon. It keeps no process alive.
 */
export function callAt(clock: Clock, { atMs, call }: { atMs: number; call: () => void }): void {
  const leftMs = atMs - clock.nowMs();
  if (leftMs <= 0) call();
  else setTimeout(() => callAt(clock, { atMs, call }), Math.ceil(leftMs)).unref();
}

/** What a boot-time clock reads. Tests replace it. */
export interface BootTimeSources {
  /** Seconds since boot, with suspended time; undefined where the system does not say. */
  readUptimeSeconds(): number | undefined;
  /** A monotonic clock in milliseconds that may stand still while the machine sleeps. */
  monotonicMs(): number;
}

const realSources: BootTimeSources = { readUptimeSeconds, monotonicMs: () => performance.now() };

/**
 * A monotonic clock that goes on while the machine is suspended, for leases.
 *
 * Node does not expose CLOCK_BOOTTIME. On Linux `/proc/uptime` is that clock, but in steps of 10 ms.
 * `performance.now()` is CLOCK_MONOTONIC: fine-grained, but it stops during suspend. Both have the same rate, so their
 * difference only grows, by the suspended time. Each call therefore raises an offset to `uptime - monotonic` when that
 * is larger, and returns `monotonic + offset`. Uptime is read *before* the monotonic clock and is truncated, so the
 * offset is never too large: the clock never runs ahead, never goes back, and lags by at most 10 ms after a suspend.
 *
 * On Linux the value is milliseconds since boot, so two processes of one boot can compare it (see `readBootId` of the
 * contract). Elsewhere it is `performance.now()`, relative to this process.
 */
export function bootTimeClock(sources: BootTimeSources = realSources): Clock {
  let offsetMs = Number.NEGATIVE_INFINITY;
  return {
    nowMs() {
      const uptimeSeconds = sources.readUptimeSeconds();
      const monotonicMs = sources.monotonicMs();
      const seenMs = uptimeSeconds === undefined ? 0 : uptimeSeconds * 1000 - monotonicMs;
      // An unreadable uptime must not set back a clock that knows its offset.
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
