import { type BackoffLimits, backoffMs, Problem } from "@towpath/contract";
import { ConnectionFailure, UnexpectedAnswer } from "./failure.ts";

/** Statuses of a proxy whose server may answer later. */
const GATEWAY_STATUSES: readonly number[] = [429, 502, 503, 504];

const BACKOFF: BackoffLimits = { firstMs: 200, mostMs: 5_000 };

/** Whether the same request may succeed later. After a conflict or an expired session it cannot: another request must come first. */
export function mayPass(failure: unknown): boolean {
  if (failure instanceof ConnectionFailure) return true;
  if (failure instanceof UnexpectedAnswer) return GATEWAY_STATUSES.includes(failure.status);
  if (!(failure instanceof Problem)) return false;
  return failure.retryable && (failure.status >= 500 || failure.status === 429);
}

/** The longest `Retry-After` that a call waits for, milliseconds. If the server asks for more, the call fails at once. */
const RETRY_AFTER_MAX_MS = 30_000;

/** How long the server asks to wait before the next request, milliseconds. 0 if it does not ask. */
function askedMs(failure: unknown): number {
  return failure instanceof Problem || failure instanceof UnexpectedAnswer ? (failure.retryAfterMs ?? 0) : 0;
}

/** The pause after a failure that may pass: the back-off, or longer if the server asks for it. Null if it asks for too long. */
export function pauseMs(failure: unknown, repetition: number): number | null {
  const asked = askedMs(failure);
  if (asked > RETRY_AFTER_MAX_MS) return null;
  const ownMs = backoffMs(repetition, BACKOFF, Math.random);
  // Spread, so that callers which were asked to wait for the same time do not return together.
  return Math.max(ownMs, asked === 0 ? 0 : asked + backoffMs(0, BACKOFF, Math.random));
}

/** Whether the server refused a request before it did anything. Then any request may be sent again. */
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
