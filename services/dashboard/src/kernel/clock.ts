import { useSyncExternalStore } from "react";
import { nowMs } from "./live/clock.ts";

// The shared worker needs the time without React.
export { nowMs };

/** One timer serves the whole page. */
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

/**
 * The value of `read` for the current time. While `ticking`, it is computed each second, and a change renders again.
 */
export function useTimed<Made extends string | number>(read: (now: number) => Made, ticking: boolean): Made {
  return useSyncExternalStore(ticking ? onSecond : never, () => read(nowMs()));
}

/** An instant, rounded down to the second. */
export function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** The time in whole seconds. While `ticking`, each second renders again. */
export function useNow(ticking: boolean): number {
  return useTimed(wholeSecond, ticking);
}
