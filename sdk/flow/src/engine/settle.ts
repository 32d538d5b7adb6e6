import { OpenSet } from "./open-set.ts";

/** Resolves with true once `work` has settled, or with false after `ms`. Never rejects. */
export async function settledWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const done = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Rejects with the signal's reason when it aborts. Always call `release`: it removes the listener. */
export function untilAborted(signal: AbortSignal): { aborted: Promise<never>; release: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  // Without this, an abort that nobody awaits would be an unhandled rejection.
  promise.catch(() => {});
  const onAbort = () => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return { aborted: promise, release: () => signal.removeEventListener("abort", onAbort) };
}

/** Waits `ms`, or rejects with the signal's reason when it aborts first. */
export async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const { aborted, release } = untilAborted(signal);
  try {
    await Promise.race([promise, aborted]);
  } finally {
    clearTimeout(timer);
    release();
  }
}

/** Callbacks to call when a signal aborts. */
const followers = new WeakMap<AbortSignal, OpenSet<(reason: unknown) => void>>();

function followersOf(signal: AbortSignal): OpenSet<(reason: unknown) => void> {
  const known = followers.get(signal);
  if (known) return known;
  const own = new OpenSet<(reason: unknown) => void>();
  followers.set(signal, own);
  const onAbort = () => {
    for (const then of own.values()) then(signal.reason);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  return own;
}

/**
 * Calls a function with a signal's reason when it aborts, or at once if it has. The returned function stops this.
 *
 * For a signal that outlives very many followers: `AbortSignal.any` and removed listeners leave references on it until
 * a full garbage collection.
 */
export function follow(signal: AbortSignal, then: (reason: unknown) => void): () => void {
  if (signal.aborted) then(signal.reason);
  return followersOf(signal).add(then);
}
