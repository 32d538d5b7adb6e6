/** Lets time pass. Rejects, or resolves early, when its signal aborts. */
type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** What one loop waits for, and others cause. A wake-up that comes while nobody waits ends the next wait. */
export class WakeUp {
  #isDue = false;
  #end: (() => void) | null = null;

  /** Ends the wait, or the next one. */
  wake(): void {
    this.#isDue = true;
    this.#end?.();
  }

  /**
   * Waits for a wake-up.
   * @param ms The longest wait, milliseconds; null: as long as it takes.
   * @param sleep How time passes. @default a timer
   * @returns false when the signal has aborted.
   */
  async wait(ms: number | null, signal?: AbortSignal, sleep?: Sleep): Promise<boolean> {
    if (!this.#isDue && !isAborted(signal)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const end = () => resolve();
      this.#end = end;
      signal?.addEventListener("abort", end, { once: true });
      const stopTime = ms === null ? () => {} : afterMs(ms, sleep, end);
      await promise;
      stopTime();
      signal?.removeEventListener("abort", end);
      this.#end = null;
    }
    this.#isDue = false;
    return !isAborted(signal);
  }
}

/** Asked anew each time: a signal aborts during a wait. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** Calls back after a time. @returns what stops it */
function afterMs(ms: number, sleep: Sleep | undefined, then: () => void): () => void {
  if (sleep === undefined) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  }
  const over = new AbortController();
  sleep(ms, over.signal).then(then, then);
  return () => over.abort();
}
