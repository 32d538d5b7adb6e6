import { setImmediate as nextTurn } from "node:timers/promises";

/** How a long computation is followed and stopped from outside. */
export interface Watch {
  /** Called a bounded number of times, with work done and work to do in the step's own unit. */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Aborting it makes the step throw the signal's reason at its next pause. */
  signal?: AbortSignal | undefined;
}

/**
 * Gives the event loop one turn between pieces of computation.
 *
 * Without it, a step of some seconds would hold back log lines and hear a cancellation only when it is too late.
 */
export async function pause(watch: Watch): Promise<void> {
  await nextTurn();
  watch.signal?.throwIfAborted();
}
