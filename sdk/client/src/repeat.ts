import { type BackoffLimits, backoffMs, Problem, type Route, type RouteName } from "@towpath/contract";
import { ConnectionFailure, UnexpectedAnswer } from "./failure.ts";

/**
 * POSTs that the contract promises to be the same request when repeated: by the run's id, by the state they ask for,
 * by equal settings, by the signed spec itself. The worker's verbs are absent: their callers have policies of their own.
 */
const REPEATABLE_POSTS: readonly RouteName[] = [
  "createRun",
  "cancelRun",
  "cancelRuns",
  "rerunRuns",
  "planReruns",
  "createPool",
  "registerVersion",
];

/** Statuses by which a proxy says that the server behind it may answer later. */
const GATEWAY_STATUSES: readonly number[] = [429, 502, 503, 504];

const BACKOFF: BackoffLimits = { firstMs: 200, mostMs: 5_000 };

/** Whether a lost answer to this route may simply be asked for again. */
export function isRepeatable(name: RouteName, route: Route): boolean {
  return route.method !== "POST" || REPEATABLE_POSTS.includes(name);
}

/**
 * Whether the very same request may succeed later. A retryable conflict or expired session is not in it: those want
 * another request first.
 */
export function mayPass(failure: unknown): boolean {
  if (failure instanceof ConnectionFailure) return true;
  if (failure instanceof UnexpectedAnswer) return GATEWAY_STATUSES.includes(failure.status);
  if (!(failure instanceof Problem)) return false;
  return failure.retryable && (failure.status >= 500 || failure.status === 429);
}

/** The longest that `Retry-After` is waited for, milliseconds: beyond it the caller is told. */
const RETRY_AFTER_MAX_MS = 30_000;

/** What the server asks to wait before the next request, milliseconds; 0 where it says nothing. */
function askedMs(failure: unknown): number {
  return failure instanceof Problem || failure instanceof UnexpectedAnswer ? (failure.retryAfterMs ?? 0) : 0;
}

/**
 * The pause after a failure that may pass: the back-off, or longer where the server asks for it. Null: it asks for longer than
 * anybody who waits for this call should be kept.
 */
export function pauseMs(failure: unknown, repetition: number): number | null {
  const asked = askedMs(failure);
  if (asked > RETRY_AFTER_MAX_MS) return null;
  const ownMs = backoffMs(repetition, BACKOFF, Math.random);
  // Spread, so that callers which were asked to wait for the same time do not return together.
  return Math.max(ownMs, asked === 0 ? 0 : asked + backoffMs(0, BACKOFF, Math.random));
}

/** Whether a request was refused before anything was done about it, so that sending any request again is safe. */
export function wasRefusedUnread(failure: unknown): boolean {
  return failure instanceof Problem && failure.code === "too-many-requests";
}

/** Waits, or rejects with the signal's reason as soon as it is aborted. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
