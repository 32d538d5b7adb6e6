import { follow, settledWithin, untilAborted } from "../engine/settle.ts";
import { Cancelled, TaskTimeout } from "../problem.ts";

/**
 * After a cancellation, how long a task's function may take to clean up before its promise rejects without it. Less
 * than a worker's kill grace, so that the run still tells its own end.
 */
export const CLEANUP_MS = 4000;

/** How long a try whose time is up may take to settle, unless its task says otherwise. */
export const TIMEOUT_GRACE_MS = 2000;

/** What one try is given. */
export interface TryLimits {
  readonly task: string;
  /** The signal of whoever called the task. */
  readonly outer: AbortSignal;
  readonly timeoutMs: number | null;
  /** @default 2000 */
  readonly timeoutGraceMs?: number | undefined;
  /** Calls a function once nothing that the try began is under way: until then it hears the caller's signal. */
  readonly whenQuiet: (then: () => void) => void;
  /** Has a function run where the try's own code does, so that listeners of its signal are still in the run. */
  readonly around: (signal: AbortSignal, run: () => void) => void;
  /** Told when its time is up: the process still comes round. */
  readonly onUp?: () => void;
  /** Told when a function did not end although its time, and the time to settle after it, was up. */
  readonly onLeft?: () => void;
}

/** Waits for a try that was asked to stop: for its clean-up, or for as long as one whose time is up gets. */
async function settle(limits: TryLimits, work: Promise<unknown>, reason: unknown): Promise<void> {
  const { timeoutGraceMs = TIMEOUT_GRACE_MS } = limits;
  const ms = reason instanceof Cancelled ? CLEANUP_MS : reason instanceof TaskTimeout ? timeoutGraceMs : 0;
  if (ms > 0 && !(await settledWithin(work, ms))) limits.onLeft?.();
}

/**
 * Runs one try under a signal of its own that aborts with the caller's, or when its time is up.
 *
 * A function that was asked to stop gets time to settle: CLEANUP_MS after a cancellation, `timeoutGraceMs` after its time
 * is up. After that it is left: nothing ends a function in its own process, but its signal stays aborted, so that it can
 * begin nothing more in the run's name.
 * @throws TaskTimeout, the caller's abort reason, or what the function throws.
 */
export async function runLimited<Result>(
  limits: TryLimits,
  fn: (signal: AbortSignal) => Result | Promise<Result>,
): Promise<Result> {
  const { task, outer, timeoutMs } = limits;
  const own = new AbortController();
  const { signal } = own;
  const abort = (reason: unknown) => limits.around(signal, () => own.abort(reason));
  const unfollow = follow(outer, abort);
  const { aborted, release } = untilAborted(signal);
  const isUp = () => {
    limits.onUp?.();
    abort(new TaskTimeout(task, timeoutMs ?? 0));
  };
  const timer = timeoutMs === null ? undefined : setTimeout(isUp, timeoutMs);
  const work = Promise.resolve().then(() => fn(signal));
  try {
    return await Promise.race([work, aborted]);
  } catch (error) {
    const thrown = signal.aborted ? signal.reason : error;
    work.catch(() => {});
    await settle(limits, work, thrown);
    // What the function left running must not go on beside the next try.
    abort(new TryEnded(task));
    throw thrown;
  } finally {
    clearTimeout(timer);
    release();
    limits.whenQuiet(unfollow);
  }
}

/** The reason a failed try's signal aborts with. */
class TryEnded extends Cancelled {
  constructor(task: string) {
    super(`task "${task}" had already ended`);
  }
}
