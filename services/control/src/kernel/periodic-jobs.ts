import { setTimeout as delay } from "node:timers/promises";
import { createBackoff, WakeUp } from "@towpath/contract";
import type { Deps, PeriodicJob } from "./deps.ts";
import { keepDueTimers, type Watched } from "./due-timers.ts";
import { ANY_KEY } from "./wakes.ts";

/** For a periodic job that fails. */
const BACKOFF = { firstMs: 500, mostMs: 30_000 } as const;

/** The started periodic jobs. */
export interface RunningPeriodicJobs {
  /** Ends the pauses and waits for open rounds. Idempotent. */
  stop(): Promise<void>;
}

/** Jitter prevents the processes of an installation from working in step. */
function jittered(ms: number): number {
  return ms * (0.8 + 0.4 * Math.random());
}

async function loop(
  deps: Deps,
  args: { periodicJob: PeriodicJob; wakeUp: WakeUp; signal: AbortSignal },
): Promise<void> {
  const { periodicJob, wakeUp, signal } = args;
  const everyMs =
    typeof periodicJob.everyMs === "number" ? periodicJob.everyMs : periodicJob.everyMs(deps.config);
  const backoff = createBackoff(Math.random, BACKOFF);
  let failures = 0;
  while (!signal.aborted) {
    try {
      const { worked } = await periodicJob.runOnce(deps);
      failures = 0;
      backoff.reset();
      if (worked) continue;
      if (periodicJob.restMs !== undefined)
        await delay(periodicJob.restMs, undefined, { signal }).catch(() => {});
      await wakeUp.wait(periodicJob.nextInMs === undefined ? jittered(everyMs) : null, signal);
    } catch (error) {
      failures += 1;
      deps.log.error(
        { err: error, periodicJob: periodicJob.name, failures },
        "a periodic job failed; it will be tried again",
      );
      await delay(backoff.next(), undefined, { signal }).catch(() => {});
    }
  }
}

/**
 * Starts each periodic job in a loop of its own: rounds while there is work, then a pause until a wake-up, the time
 * that the due timers found for it or, where it has no say, its interval. A failing periodic job is logged and tried
 * again with back-off; it never stops the others.
 */
export function startPeriodicJobs(deps: Deps, periodicJobs: readonly PeriodicJob[]): RunningPeriodicJobs {
  const stopping = new AbortController();
  const { signal } = stopping;
  const watched: Watched[] = [];
  const loops = periodicJobs.map(async (periodicJob) => {
    const wakeUp = new WakeUp();
    const nextInMs = periodicJob.nextInMs?.(deps);
    if (nextInMs !== undefined) watched.push({ nextInMs, wake: () => wakeUp.wake() });
    const unsubscribe =
      periodicJob.wakeOn === undefined
        ? () => {}
        : deps.wakes.subscribe(periodicJob.wakeOn, periodicJob.wakeKey ?? ANY_KEY, () => wakeUp.wake());
    await loop(deps, { periodicJob, wakeUp, signal });
    unsubscribe();
  });
  if (watched.length > 0) loops.push(keepDueTimers(deps, { watched, signal }));
  return {
    async stop() {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}
