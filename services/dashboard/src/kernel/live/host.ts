import { nowMs } from "./clock.ts";
import { openFeed } from "./connection.ts";
import { Hub } from "./hub.ts";

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

/** Creates the hub of a shared worker or a tab. */
export function openHub(): Hub {
  const hub = new Hub({ open: openFeed, nowMs, pause, random: Math.random });
  globalThis.addEventListener("online", () => hub.retry());
  return hub;
}
