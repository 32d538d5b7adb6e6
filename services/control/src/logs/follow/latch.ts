/** Something to wait on until it is set: a wake that comes while nobody waits ends the next wait. */
export class Latch {
  #set = false;
  #end: (() => void) | null = null;

  /** Ends the wait, or the next one. */
  set(): void {
    this.#set = true;
    this.#end?.();
  }

  /** Waits until it is set, at most `ms`, or until the signal fires. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#set && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      const leave = () => resolve();
      signal.addEventListener("abort", leave, { once: true });
      this.#end = resolve;
      await promise;
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      this.#end = null;
    }
    this.#set = false;
  }
}
