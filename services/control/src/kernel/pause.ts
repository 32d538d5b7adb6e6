import { setTimeout as delay } from "node:timers/promises";

/** A pause that a wake ends; a wake that comes while nobody pauses ends the next one. */
export class Pause {
  #woken = false;
  #end: (() => void) | null = null;

  wake(): void {
    this.#woken = true;
    this.#end?.();
  }

  /** @param ms null waits for a wake, however long it takes. */
  async wait(ms: number | null, signal: AbortSignal): Promise<void> {
    if (!this.#woken) {
      const woken = new Promise<void>((resolve) => {
        this.#end = resolve;
      });
      const timer = new AbortController();
      const over = AbortSignal.any([signal, timer.signal]);
      const passed = delay(ms ?? LONGEST_MS, undefined, { signal: over });
      await Promise.race([woken, passed]).catch(() => {});
      timer.abort();
      this.#end = null;
    }
    this.#woken = false;
  }
}

/** What a timer can count at most, milliseconds: about 24 days. */
const LONGEST_MS = 2 ** 31 - 1;
