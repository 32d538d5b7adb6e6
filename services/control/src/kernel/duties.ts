import { setTimeout as delay } from "node:timers/promises";
import type { Deps, Duty } from "./deps.ts";
import { ANY_KEY } from "./wakes.ts";

/** Rounds in a row that a duty may ask for before others get the event loop and a stop is looked at. */
const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 30_000;

/** The duties that were started. */
export interface RunningDuties {
  /** Ends the pauses and waits for the rounds in progress. Idempotent. */
  stop(): Promise<void>;
}

/** A pause that a wake ends; a wake that comes while nobody pauses ends the next one. */
class Pause {
  #woken = false;
  #end: (() => void) | null = null;

  wake(): void {
    this.#woken = true;
    this.#end?.();
  }

  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#woken) {
      const woken = new Promise<void>((resolve) => {
        this.#end = resolve;
      });
      const timer = new AbortController();
      await Promise.race([
        woken,
        delay(ms, undefined, { signal: AbortSignal.any([signal, timer.signal]) }),
      ]).catch(() => {});
      timer.abort();
      this.#end = null;
    }
    this.#woken = false;
  }
}

/** Jitter keeps the processes of one installation from working in step. */
function jittered(ms: number): number {
  return ms * (0.8 + 0.4 * Math.random());
}

async function loop(deps: Deps, a: { duty: Duty; pause: Pause; signal: AbortSignal }): Promise<void> {
  const { duty, pause, signal } = a;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const { worked } = await duty.runOnce(deps);
      failures = 0;
      if (worked) continue;
      if (duty.restMs !== undefined) await delay(duty.restMs, undefined, { signal }).catch(() => {});
      await pause.wait(jittered(duty.everyMs), signal);
    } catch (error) {
      failures += 1;
      deps.log.error({ err: error, duty: duty.name, failures }, "a duty failed; it will be tried again");
      const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.min(failures, 10));
      await delay(jittered(backoffMs), undefined, { signal }).catch(() => {});
    }
  }
}

/**
 * Starts each duty in a loop of its own: rounds while there is work, then a pause until a wake or, at the latest, its
 * interval. A failing duty is logged and tried again with back-off; it never stops the others.
 */
export function startDuties(deps: Deps, duties: readonly Duty[]): RunningDuties {
  const stopping = new AbortController();
  const loops = duties.map(async (duty) => {
    const pause = new Pause();
    const unsubscribe =
      duty.wakeOn === undefined
        ? () => {}
        : deps.wakes.subscribe(duty.wakeOn, duty.wakeKey ?? ANY_KEY, () => pause.wake());
    await loop(deps, { duty, pause, signal: stopping.signal });
    unsubscribe();
  });
  return {
    async stop() {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}
