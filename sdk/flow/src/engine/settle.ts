import { OpenSet } from "./open-set.ts";

/** Resolves true once `work` has settled either way, or false when `ms` have passed. Never rejects. */
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

/** Rejects with the signal's reason when it aborts. `release` takes the listener away; call it in any case. */
export function untilAborted(signal: AbortSignal): { aborted: Promise<never>; release: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  // Nobody may be waiting when it aborts; those who are get the rejection all the same.
  promise.catch(() => {});
  const onAbort = () => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return { aborted: promise, release: () => signal.removeEventListener("abort", onAbort) };
}

/** Waits, or rejects with the signal's reason when it aborts first. */
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

/** What is called when a signal aborts. */
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
 * Calls a function with a signal's reason when it aborts, at once if it has, until the answer is called.
 *
 * For a signal that outlives very many who follow it: `AbortSignal.any` leaves a trace of each on it, and listeners that were
 * removed still point at one another, so that one in the old generation keeps all after it until a full collection.
 */
export function follow(signal: AbortSignal, then: (reason: unknown) => void): () => void {
  if (signal.aborted) then(signal.reason);
  return followersOf(signal).add(then);
}
