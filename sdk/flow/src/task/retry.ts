import { errorChain } from "../engine/describe-error.ts";
import { Cancelled, NonRetryable } from "../problem.ts";
import { FromOtherThread } from "../thread/wire.ts";

/** The delay before try number `tries + 1`: a number, a list whose last entry repeats, or a function. */
export type RetryDelay = number | readonly number[] | ((tries: number, error: unknown) => number);

/** A class of errors, abstract ones included. */
export type ErrorClass = abstract new (...args: never[]) => unknown;

/** When a task is tried again. */
export interface RetryOptions {
  /** Number of tries after the first one. @default 0 */
  readonly retries?: number;
  /** Milliseconds before each retry. @default 500, doubled by each retry up to 30 000 */
  readonly retryDelayMs?: RetryDelay;
  /** Spreads each delay by up to this fraction of it, either way. 0 to 1. @default 0.2; 0 where a delay is given */
  readonly retryJitter?: number;
  /**
   * Classes of errors to retry. The error, or one of its causes, must be an instance of one.
   * @default every error but `Cancelled` and `NonRetryable`, which never are
   */
  readonly retryOn?: ErrorClass | readonly ErrorClass[];
  /** Whether to retry an error that `retryOn` allows. */
  readonly retryIf?: (error: unknown, tries: number) => boolean;
}

/** `setTimeout` cannot wait longer than this. */
export const TIMER_MS_MAX: number = 2 ** 31 - 1;
/** Default delay: half a second, doubled up to 30 seconds. */
const DEFAULT_DELAY = exponential({ firstMs: 500, maxMs: 30_000 });
/** Default jitter, so that calls that failed together are not repeated together. */
const DEFAULT_JITTER = 0.2;

/**
 * Delays that grow by a factor up to a maximum, for `retryDelayMs`.
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

/** The delay before the next try in milliseconds, within the limits of a timer. */
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

/** An error from another thread has lost its class but has its name. */
function isOfClass(error: unknown, kind: ErrorClass): boolean {
  return error instanceof kind || (error instanceof FromOtherThread && error.name === kind.name);
}

/**
 * Whether an error allows another try. A cancellation or `NonRetryable` never does. Otherwise both `retryOn` and
 * `retryIf` must allow it.
 */
export function isRetryable(options: RetryOptions, error: unknown, tries: number): boolean {
  const chain = errorChain(error);
  if (chain.some((one) => one instanceof NonRetryable) || error instanceof Cancelled) return false;
  const { retryOn, retryIf } = options;
  const isNamed = (one: unknown) =>
    retryOn === undefined || classesOf(retryOn).some((kind) => isOfClass(one, kind));
  return chain.some(isNamed) && (retryIf === undefined || retryIf(error, tries));
}
