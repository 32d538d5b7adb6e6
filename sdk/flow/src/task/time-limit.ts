import { follow, settledWithin, untilAborted } from "../engine/settle.ts";
import { Cancelled, TaskTimeout } from "../problem.ts";

/**
 * How long a task's function may clean up after a cancellation before its promise rejects. Less than a worker's kill
 * grace, so that the run can still report its end.
 */
export const CLEANUP_MS = 4000;

/** Default grace after a try's time limit. */
export const TIMEOUT_GRACE_MS = 2000;

/** Limits and callbacks of one try. */
export interface TryLimits {
  readonly task: string;
  /** The caller's signal. */
  readonly outer: AbortSignal;
  readonly timeoutMs: number | null;
  /** @default 2000 */
  readonly timeoutGraceMs?: number | undefined;
  /** Whether the run ends if the function does not settle in time, instead of leaving it. */
  readonly endsRun?: boolean;
  /** Calls a function once all calls of the try have ended. Until then the try follows the caller's signal. */
  readonly whenQuiet: (then: () => void) => void;
  /** Runs a function in the try's scope, so that listeners of its signal are in the run. */
  readonly around: (signal: AbortSignal, run: () => void) => void;
  /** Called at the time limit: the event loop is not blocked. */
  readonly onUp?: (args: { readonly wasAborted: boolean }) => void;
  /** Called when a function did not end within its time limit and grace. */
  readonly onLeft?: () => void;
}

/** The grace of tries whose runs end for them, by their abort reason. */
const endingGraceMs = new WeakMap<TaskTimeout, number>();

/** How long a try may take to settle after it was asked to stop. */
function graceMs(
  { timeoutGraceMs = TIMEOUT_GRACE_MS }: TryLimits,
  args: { reason: unknown; up: unknown },
): number {
  const { reason, up } = args;
  if (reason instanceof Cancelled) return CLEANUP_MS;
  if (!(reason instanceof TaskTimeout)) return 0;
  if (reason === up) return timeoutGraceMs;
  // The enclosing task decides what happens. Leaving this try earlier would look like its end.
  const outerMs = endingGraceMs.get(reason);
  return outerMs === undefined ? timeoutGraceMs : outerMs + TIMEOUT_GRACE_MS;
}

/**
 * Waits for a try that was asked to stop.
 * @throws TaskTimeout with `ignored` if the run must end for it.
 */
async function settle(
  limits: TryLimits,
  work: Promise<unknown>,
  args: { reason: unknown; up: unknown },
): Promise<void> {
  const ms = graceMs(limits, args);
  const endsRun = limits.endsRun === true && args.reason === args.up;
  if (ms === 0 && !endsRun) return;
  if (await settledWithin(work, ms)) return;
  if (endsRun) throw new TaskTimeout(limits.task, limits.timeoutMs ?? 0, ms);
  limits.onLeft?.();
}

/**
 * Runs one try with its own signal, which aborts with the caller's or at the time limit.
 *
 * The function then has time to settle: CLEANUP_MS after a cancellation, `timeoutGraceMs` after the time limit. After
 * that it is left: nothing can end a function in its own process. Its signal stays aborted, so it can start nothing
 * more in the run. With `endsRun`, the run ends if the function ignored its own time limit.
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
  let up: TaskTimeout | null = null;
  const isUp = () => {
    limits.onUp?.({ wasAborted: signal.aborted });
    up = new TaskTimeout(task, timeoutMs ?? 0);
    if (limits.endsRun === true) endingGraceMs.set(up, limits.timeoutGraceMs ?? TIMEOUT_GRACE_MS);
    abort(up);
  };
  const timer = timeoutMs === null ? undefined : setTimeout(isUp, timeoutMs);
  const work = Promise.resolve().then(() => fn(signal));
  try {
    return await Promise.race([work, aborted]);
  } catch (error) {
    const thrown = signal.aborted ? signal.reason : error;
    work.catch(() => {});
    await settle(limits, work, { reason: thrown, up });
    // Calls that the function left running must not continue beside the next try.
    abort(new TryEnded(task));
    throw thrown;
  } finally {
    clearTimeout(timer);
    release();
    limits.whenQuiet(unfollow);
  }
}

/** The abort reason of a failed try's signal. */
class TryEnded extends Cancelled {
  constructor(task: string) {
    super(`task "${task}" had already ended`);
  }
}
