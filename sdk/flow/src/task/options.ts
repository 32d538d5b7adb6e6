import { InvalidDefinition } from "../problem.ts";

/** How long to wait before try number `tries + 1`: a number, a list whose last entry repeats, or a function. */
export type RetryDelay = number | readonly number[] | ((tries: number, error: unknown) => number);

/** What a task is told when it is declared, and what `.with` overrides for a call. */
export interface TaskOptions {
  /** What the task is called in runs: 1 to 200 characters. */
  readonly name: string;
  /** Tries after the first that fails. @default 0 */
  readonly retries?: number;
  /** Milliseconds before each retry. @default 0 */
  readonly retryDelayMs?: RetryDelay;
  /** Spreads each delay by up to this fraction of it, either way. 0 to 1. @default 0 */
  readonly retryJitter?: number;
  /** Whether an error is worth another try. @default every error but `Cancelled` and `NonRetryable` */
  readonly retryIf?: (error: unknown, tries: number) => boolean;
  /** Time limit of one try, in milliseconds. @default none */
  readonly timeoutMs?: number;
  /** Keeps the result in the store; its ref stands on the task run. @default false */
  readonly save?: boolean;
  /** Identity of the call in its run. @default a hash of the arguments */
  readonly key?: string;
}

const NAME_CHARS_MAX = 200;
const RETRIES_MAX = 1000;
/** `setTimeout` cannot wait longer than this. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function check(options: TaskOptions, field: keyof TaskOptions, ok: boolean, wanted: string): void {
  if (!ok) throw new InvalidDefinition(`task "${options.name}": ${field} must be ${wanted}.`);
}

function isBetween(value: unknown, min: number, max: number): boolean {
  return typeof value === "number" && value >= min && value <= max;
}

function isDelay(delay: unknown): boolean {
  if (typeof delay === "function") return true;
  if (Array.isArray(delay)) return delay.length > 0 && delay.every((one) => isBetween(one, 0, TIMER_MS_MAX));
  return isBetween(delay, 0, TIMER_MS_MAX);
}

/**
 * Checks a task's options.
 * @throws InvalidDefinition naming the field.
 */
export function checkTaskOptions(options: TaskOptions): TaskOptions {
  const { name, retries = 0, retryDelayMs = 0, retryJitter = 0, timeoutMs, key } = options;
  if (typeof name !== "string" || name.length < 1 || name.length > NAME_CHARS_MAX)
    throw new InvalidDefinition(`A task needs a name of 1 to ${NAME_CHARS_MAX} characters.`);
  const wholeRetries = Number.isInteger(retries) && isBetween(retries, 0, RETRIES_MAX);
  check(options, "retries", wholeRetries, `a whole number from 0 to ${RETRIES_MAX}`);
  const delays = "milliseconds, a list of them that is not empty, or a function that answers them";
  check(options, "retryDelayMs", isDelay(retryDelayMs), delays);
  check(options, "retryJitter", isBetween(retryJitter, 0, 1), "from 0 to 1");
  check(
    options,
    "timeoutMs",
    timeoutMs === undefined || isBetween(timeoutMs, 1, TIMER_MS_MAX),
    "milliseconds from 1",
  );
  check(
    options,
    "key",
    key === undefined || (typeof key === "string" && key !== ""),
    "text that is not empty",
  );
  return options;
}

/** The wait before the next try, in milliseconds, within what a timer can wait. */
export function retryDelay(
  options: TaskOptions,
  failed: { tries: number; error: unknown; random: () => number },
): number {
  const delay = options.retryDelayMs ?? 0;
  const base = typeof delay === "function" ? delay(failed.tries, failed.error) : listed(delay, failed.tries);
  const spread = 1 + (options.retryJitter ?? 0) * (failed.random() * 2 - 1);
  const ms = Math.round(base * spread);
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), TIMER_MS_MAX) : 0;
}

function listed(delay: number | readonly number[], tries: number): number {
  if (typeof delay === "number") return delay;
  return delay[Math.min(tries, delay.length) - 1] ?? 0;
}

/**
 * Delays that grow by a factor, up to a most: for `retryDelayMs`.
 * @example task({ name: "fetch", retries: 5, retryDelayMs: exponential({ firstMs: 200 }) }, fetchPage)
 */
export function exponential(options: { firstMs: number; factor?: number; maxMs?: number }): RetryDelay {
  const { firstMs, factor = 2, maxMs = 60_000 } = options;
  return (tries) => Math.min(firstMs * factor ** (tries - 1), maxMs);
}
