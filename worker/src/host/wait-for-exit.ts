import { isAlive, type ProcessIdentity } from "@towpath/contract/process";
import { sleep as realSleep, type Sleep } from "./clock.ts";

const WAIT_INTERVAL_MS = 100;

/** Options of `waitForExit`. */
export interface WaitForExitOptions {
  /** Gives up waiting; the promise then rejects. */
  signal?: AbortSignal;
  /** Time between two looks, in milliseconds. @default 100 */
  intervalMs?: number;
  /** The timer. @default the real one */
  sleep?: Sleep;
}

/**
 * Resolves once a process that need not be our child has ended.
 * The kernel tells only parents of an exit and Node has no pidfd, so this looks at the process table at an interval.
 * It has no time-out of its own: the caller bounds it with a signal.
 * @throws an `AbortError` when the signal aborts first.
 */
export async function waitForExit(
  identity: ProcessIdentity,
  options: WaitForExitOptions = {},
): Promise<void> {
  const { signal, intervalMs = WAIT_INTERVAL_MS, sleep = realSleep } = options;
  signal?.throwIfAborted();
  while (await isAlive(identity)) await sleep(intervalMs, signal);
}
