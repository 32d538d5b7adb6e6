/** A bell that one loop waits for. Ringing while nobody waits is remembered, once. */
export interface Bell {
  ring(): void;
  /** Resolves at the next ring, or at once if it rang since the last wait; also when the signal aborts. */
  wait(signal?: AbortSignal): Promise<void>;
}

/** Makes a bell for one waiter at a time. */
export function createBell(): Bell {
  let rung = false;
  let wake: () => void = () => {};
  return {
    ring() {
      rung = true;
      wake();
    },
    async wait(signal) {
      if (!rung && !signal?.aborted) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const onAbort = () => resolve();
        wake = resolve;
        signal?.addEventListener("abort", onAbort);
        await promise;
        signal?.removeEventListener("abort", onAbort);
      }
      rung = false;
    },
  };
}

/** Waits for a time or a bell, whichever is first; false when the signal aborted. */
export async function waitOrRing(
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>,
  a: { ms: number; bell: Bell; signal: AbortSignal },
): Promise<boolean> {
  const over = new AbortController();
  const signal = AbortSignal.any([a.signal, over.signal]);
  // The sleep rejects when it is cut short, which here is how it is meant to end.
  await Promise.race([sleep(a.ms, signal).catch(() => {}), a.bell.wait(signal)]);
  over.abort();
  return !a.signal.aborted;
}

/** Waits for a time; false when the signal aborted first. */
export async function pause(
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>,
  a: { ms: number; signal: AbortSignal },
): Promise<boolean> {
  await sleep(a.ms, a.signal).catch(() => {});
  return !a.signal.aborted;
}
