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
  /** The signal of the task's caller. */
  readonly outer: AbortSignal;
  readonly timeoutMs: number | null;
  /** @default 2000 */
  readonly timeoutGraceMs?: number | undefined;
  /** Whether the run ends for a function that does not settle in that time, instead of leaving it. */
  readonly endsRun?: boolean;
  /** Calls a function once nothing that the try began is under way: until then it hears the caller's signal. */
  readonly whenQuiet: (then: () => void) => void;
  /** Has a function run where the try's own code does, so that listeners of its signal are still in the run. */
  readonly around: (signal: AbortSignal, run: () => void) => void;
  /** Told when its time is up: the process still comes round. */
  readonly onUp?: (args: { readonly wasAborted: boolean }) => void;
  /** Told when a function did not end although its time, and the time to settle after it, was up. */
  readonly onLeft?: () => void;
}

/** How long those tries get for which their runs end, by the reason that their signals have aborted with. */
const endingGraceMs = new WeakMap<TaskTimeout, number>();

/** How long a try gets to settle that was asked to stop: for its clean-up, or what one whose time is up gets. */
function graceMs(
  { timeoutGraceMs = TIMEOUT_GRACE_MS }: TryLimits,
  args: { reason: unknown; up: unknown },
): number {
  const { reason, up } = args;
  if (reason instanceof Cancelled) return CLEANUP_MS;
  if (!(reason instanceof TaskTimeout)) return 0;
  if (reason === up) return timeoutGraceMs;
  // A task around this one decides what becomes of it: leaving it before would seem to be its end.
  const outerMs = endingGraceMs.get(reason);
  return outerMs === undefined ? timeoutGraceMs : outerMs + TIMEOUT_GRACE_MS;
}

/**
 * Waits for a try that was asked to stop.
 * @throws TaskTimeout as `ignored` if the run is to end for it.
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
 * Runs one try under a signal of its own that aborts with the caller's, or when its time is up.
 *
 * A function that was asked to stop gets time to settle: CLEANUP_MS after a cancellation, `timeoutGraceMs` after its time
 * is up. After that it is left: nothing ends a function in its own process, but its signal stays aborted, so that it can
 * begin nothing more in the run's name. With `endsRun` the run is to end for one whose own time was up.
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
