import { settledWithin, untilAborted } from "../engine/settle.ts";
import { Cancelled, TaskTimeout } from "../problem.ts";

/**
 * After a cancellation, how long a task's function may take to clean up before its promise rejects without it. Less
 * than a worker's kill grace, so that the run still tells its own end.
 */
export const CLEANUP_MS = 4000;

/** What one try is given. */
export interface TryLimits {
  readonly task: string;
  /** The signal of whoever called the task. */
  readonly outer: AbortSignal;
  readonly timeoutMs: number | null;
}

/**
 * Runs one try under a signal of its own that aborts with the caller's, or when its time is up.
 *
 * A try whose time is up is left at once: its function may ignore the signal. On a cancellation the function gets
 * CLEANUP_MS to settle first.
 * @throws TaskTimeout, the caller's abort reason, or what the function throws.
 */
export async function runLimited<Result>(
  limits: TryLimits,
  fn: (signal: AbortSignal) => Result | Promise<Result>,
): Promise<Result> {
  const own = new AbortController();
  const signal = AbortSignal.any([limits.outer, own.signal]);
  const { aborted, release } = untilAborted(signal);
  const timer =
    limits.timeoutMs === null
      ? undefined
      : setTimeout(() => own.abort(new TaskTimeout(limits.task, limits.timeoutMs ?? 0)), limits.timeoutMs);
  const work = Promise.resolve().then(() => fn(signal));
  try {
    return await Promise.race([work, aborted]);
  } catch (error) {
    const thrown = signal.aborted ? signal.reason : error;
    if (thrown instanceof Cancelled) await settledWithin(work, CLEANUP_MS);
    work.catch(() => {});
    // What the function left running must not go on beside the next try.
    own.abort(new TryEnded(limits.task));
    throw thrown;
  } finally {
    clearTimeout(timer);
    release();
  }
}

/** The reason a failed try's signal aborts with. */
class TryEnded extends Cancelled {
  constructor(task: string) {
    super(`task "${task}" had already ended`);
  }
}
