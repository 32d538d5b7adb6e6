import { setTimeout as delay } from "node:timers/promises";
import type { Deps, Duty } from "./deps.ts";
import { keepLookout, type Watched } from "./lookout.ts";
import { Pause } from "./pause.ts";
import { ANY_KEY } from "./wakes.ts";

/** Rounds in a row that a duty may ask for before others get the event loop and a stop is looked at. */
const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 30_000;

/** The duties that were started. */
export interface RunningDuties {
  /** Ends the pauses and waits for the rounds in progress. Idempotent. */
  stop(): Promise<void>;
}

/** Jitter keeps the processes of one installation from working in step. */
function jittered(ms: number): number {
  return ms * (0.8 + 0.4 * Math.random());
}

async function loop(deps: Deps, a: { duty: Duty; pause: Pause; signal: AbortSignal }): Promise<void> {
  const { duty, pause, signal } = a;
  const everyMs = typeof duty.everyMs === "number" ? duty.everyMs : duty.everyMs(deps.config);
  let failures = 0;
  while (!signal.aborted) {
    try {
      const { worked } = await duty.runOnce(deps);
      failures = 0;
      if (worked) continue;
      if (duty.restMs !== undefined) await delay(duty.restMs, undefined, { signal }).catch(() => {});
      await pause.wait(duty.nextInMs === undefined ? jittered(everyMs) : null, signal);
    } catch (error) {
      failures += 1;
      deps.log.error({ err: error, duty: duty.name, failures }, "a duty failed; it will be tried again");
      const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.min(failures, 10));
      await delay(jittered(backoffMs), undefined, { signal }).catch(() => {});
    }
  }
}

/**
 * Starts each duty in a loop of its own: rounds while there is work, then a pause until a wake, the time that the lookout
 * found for it or, where it has no say, its interval. A failing duty is logged and tried again with back-off; it never stops the others.
 */
export function startDuties(deps: Deps, duties: readonly Duty[]): RunningDuties {
  const stopping = new AbortController();
  const { signal } = stopping;
  const watched: Watched[] = [];
  const loops = duties.map(async (duty) => {
    const pause = new Pause();
    const nextInMs = duty.nextInMs?.(deps);
    if (nextInMs !== undefined) watched.push({ nextInMs, wake: () => pause.wake() });
    const unsubscribe =
      duty.wakeOn === undefined
        ? () => {}
        : deps.wakes.subscribe(duty.wakeOn, duty.wakeKey ?? ANY_KEY, () => pause.wake());
    await loop(deps, { duty, pause, signal });
    unsubscribe();
  });
  if (watched.length > 0) loops.push(keepLookout(deps, { watched, signal }));
  return {
    async stop() {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}
