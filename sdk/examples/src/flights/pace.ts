import { setImmediate as nextTurn } from "node:timers/promises";

/** Reports the progress of a long computation, and stops it. */
export interface Watch {
  /** Called a bounded number of times with the done and the total work, in the step's own unit. */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Aborting it makes the step throw the signal's reason at its next pause. */
  signal?: AbortSignal | undefined;
}

/**
 * Gives the event loop one turn between pieces of computation.
 *
 * Without it, a step of some seconds would delay log lines and notice a cancellation too late.
 */
export async function pause(watch: Watch): Promise<void> {
  await nextTurn();
  watch.signal?.throwIfAborted();
}
