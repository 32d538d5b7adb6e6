import { useSyncExternalStore } from "react";
import { nowMs } from "./live/clock.ts";

// What runs in a worker of the browser needs the time without what draws pages.
export { nowMs };

/** Whoever hears of each second. One timer serves all of a page. */
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function onSecond(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    for (const each of listeners) each();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

const never = () => () => undefined;

/** What `read` makes of the time, looked at each second while `ticking`: renders again only when that is something else. */
export function useTimed<Made extends string | number>(read: (now: number) => Made, ticking: boolean): Made {
  return useSyncExternalStore(ticking ? onSecond : never, () => read(nowMs()));
}

/** An instant to the second: what is made of it is the same however often it is looked at within one. */
export function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** The time to the second, which renders again with each while `ticking`, so that durations grow. */
export function useNow(ticking: boolean): number {
  return useTimed(wholeSecond, ticking);
}
