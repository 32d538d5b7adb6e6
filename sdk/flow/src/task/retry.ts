import { errorChain } from "../engine/describe-error.ts";
import { Cancelled, NonRetryable } from "../problem.ts";
import { FromOtherThread } from "../thread/wire.ts";

/** How long to wait before try number `tries + 1`: a number, a list whose last entry repeats, or a function. */
export type RetryDelay = number | readonly number[] | ((tries: number, error: unknown) => number);

/** A class of errors, abstract ones included. */
export type ErrorClass = abstract new (...args: never[]) => unknown;

/** When a task is tried again. */
export interface RetryOptions {
  /** Tries after the first that fails. @default 0 */
  readonly retries?: number;
  /** Milliseconds before each retry. @default 500, doubled by each retry up to 30 000 */
  readonly retryDelayMs?: RetryDelay;
  /** Spreads each delay by up to this fraction of it, either way. 0 to 1. @default 0.2; 0 where a delay is given */
  readonly retryJitter?: number;
  /**
   * Classes of errors that are worth another try: the error itself, or one of its causes, must be of one of them.
   * @default every error but `Cancelled` and `NonRetryable`, which never are
   */
  readonly retryOn?: ErrorClass | readonly ErrorClass[];
  /** Whether an error is worth another try; asked about what `retryOn` allows. */
  readonly retryIf?: (error: unknown, tries: number) => boolean;
}

/** `setTimeout` cannot wait longer than this. */
export const TIMER_MS_MAX: number = 2 ** 31 - 1;
/** Of a task that asks for retries and says nothing of their delay: half a second, doubled up to half a minute. */
const DEFAULT_DELAY = exponential({ firstMs: 500, maxMs: 30_000 });
/** What failed together must not come back together. */
const DEFAULT_JITTER = 0.2;

/**
 * Delays that grow by a factor, up to a most: for `retryDelayMs`.
 * @example task({ name: "fetch", retries: 5, retryDelayMs: exponential({ firstMs: 200 }) }, fetchPage)
 */
export function exponential(options: {
  /** Before the first retry. */
  firstMs: number;
  /** @default 2 */
  factor?: number;
  /** @default 60 000 */
  maxMs?: number;
}): RetryDelay {
  const { firstMs, factor = 2, maxMs = 60_000 } = options;
  return (tries) => Math.min(firstMs * factor ** (tries - 1), maxMs);
}

/** The wait before the next try, in milliseconds, within what a timer can wait. */
export function retryDelay(
  options: RetryOptions,
  failed: { tries: number; error: unknown; random: () => number },
): number {
  const { retryDelayMs: delay = DEFAULT_DELAY } = options;
  const jitter = options.retryJitter ?? (options.retryDelayMs === undefined ? DEFAULT_JITTER : 0);
  const base = typeof delay === "function" ? delay(failed.tries, failed.error) : listed(delay, failed.tries);
  const ms = Math.round(base * (1 + jitter * (failed.random() * 2 - 1)));
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), TIMER_MS_MAX) : 0;
}

function listed(delay: number | readonly number[], tries: number): number {
  if (typeof delay === "number") return delay;
  return delay[Math.min(tries, delay.length) - 1] ?? 0;
}

function classesOf(retryOn: ErrorClass | readonly ErrorClass[]): readonly ErrorClass[] {
  return typeof retryOn === "function" ? [retryOn] : retryOn;
}

/** An error that has come from another thread has lost its class, and has the name of it. */
function isOfClass(error: unknown, kind: ErrorClass): boolean {
  return error instanceof kind || (error instanceof FromOtherThread && error.name === kind.name);
}

/**
 * Whether an error, or one of its causes, allows another try: never a cancellation or `NonRetryable`, and else what the
 * task's `retryOn` and `retryIf` say, both of them.
 */
export function isRetryable(options: RetryOptions, error: unknown, tries: number): boolean {
  const chain = errorChain(error);
  if (chain.some((one) => one instanceof NonRetryable) || error instanceof Cancelled) return false;
  const { retryOn, retryIf } = options;
  const isNamed = (one: unknown) =>
    retryOn === undefined || classesOf(retryOn).some((kind) => isOfClass(one, kind));
  return chain.some(isNamed) && (retryIf === undefined || retryIf(error, tries));
}
