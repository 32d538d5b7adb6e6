import { nowMs } from "./clock.ts";
import { openFeed } from "./connection.ts";
import { Hub } from "./hub.ts";

/** The name of the lock that a tab holds for as long as it lives. */
const lockOf = (tab: string) => `towpath tab ${tab}`;

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = Number.isFinite(ms) ? setTimeout(resolve, ms) : undefined;
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** The hub of this very scope: a shared worker's, or a tab's. */
export function openHub(): Hub {
  const hub = new Hub({ open: openFeed, nowMs, pause, random: Math.random });
  globalThis.addEventListener("online", () => hub.retry());
  return hub;
}

/** Holds a tab's own lock until the tab ends, however it does. */
export function liveAs(tab: string): void {
  void navigator.locks?.request(lockOf(tab), () => new Promise(() => {})).catch(() => {});
}

/** Calls `gone` once the tab has ended; where there are no locks, never. */
export function untilGone(tab: string, gone: () => void): void {
  void navigator.locks?.request(lockOf(tab), gone).catch(() => {});
}
