import { doubledMs, FAILED_KEYS, Problem } from "@towpath/contract";
import { atOnce, ForeignToken, type Turn } from "./caller.ts";
import { SharedTurns } from "./turns.ts";

/** Slows down the addresses that try invalid keys. */
export interface FailedKeys {
  /**
   * Checks a key, token or cookie from an address. A valid one is accepted. A failure is answered 429 while its address
   * is paused. All paused addresses share a few reads, so that they cannot block others at the database. Decisions
   * without a read do not wait.
   * @throws Problem `too-many-requests` in place of `unauthenticated` or a `ForeignToken`, and when too many wait for a
   * turn; else what the check throws.
   */
  watch<T>(args: { address: () => string; check: (turn: Turn) => Promise<T> }): Promise<T>;
}

/** The most addresses that are remembered. */
const ADDRESSES_MAX = 20_000;

interface Failures {
  count: number;
  pausedUntilMs: number;
  lastAtMs: number;
}

const tooMany = (afterMs: number) =>
  new Problem(
    "too-many-requests",
    "Too many requests from this address had no valid key. Check the key, and try again after the time in `Retry-After`.",
    { retryAfterMs: afterMs },
  );

function pauseMs(count: number): number {
  const { free, firstPauseMs: firstMs, longestPauseMs: mostMs } = FAILED_KEYS;
  return doubledMs(count - free, { firstMs, mostMs });
}

/** Whether a failure means that a credential is not valid, or no longer valid. */
function isFailure(error: unknown): error is Problem {
  return error instanceof ForeignToken || (error instanceof Problem && error.code === "unauthenticated");
}

/** Makes the watch. @param nowMs A clock that never goes back. */
export function watchFailedKeys(nowMs: () => number = () => performance.now()): FailedKeys {
  const known = new Map<string, Failures>();
  const turns = new SharedTurns({ atOnce: FAILED_KEYS.checksAtOnce, waitingMost: FAILED_KEYS.waitingMost });
  const inTurn = <T>(address: string, read: () => Promise<T>): Promise<T> => {
    if (turns.isFull(address)) throw tooMany(FAILED_KEYS.firstPauseMs);
    return turns.take(address, read);
  };
  const forgetOld = () => {
    const oldestMs = nowMs() - FAILED_KEYS.forgottenAfterMs;
    for (const [address, { lastAtMs }] of known) if (lastAtMs < oldestMs) known.delete(address);
    if (known.size >= ADDRESSES_MAX) known.clear();
  };
  const failuresOf = (address: string): Failures => {
    const found = known.get(address);
    if (found !== undefined && nowMs() - found.lastAtMs < FAILED_KEYS.forgottenAfterMs) return found;
    if (known.size >= ADDRESSES_MAX) forgetOld();
    const fresh = { count: 0, pausedUntilMs: 0, lastAtMs: nowMs() };
    known.set(address, fresh);
    return fresh;
  };
  /** Counts a failure and returns the pause of the address. Failures within a pause do not extend it. */
  const note = (address: string): number => {
    const failures = failuresOf(address);
    const at = nowMs();
    failures.lastAtMs = at;
    if (at < failures.pausedUntilMs) return failures.pausedUntilMs - at;
    failures.count += 1;
    if (failures.count <= FAILED_KEYS.free) return 0;
    failures.pausedUntilMs = at + pauseMs(failures.count - 1);
    return failures.pausedUntilMs - at;
  };
  return {
    async watch({ address, check }) {
      // Usually nobody has failed, and then the address is not computed.
      const failures = known.size === 0 ? undefined : known.get(address());
      const pauses = failures !== undefined && nowMs() < failures.pausedUntilMs;
      try {
        return await check(pauses ? (read) => inTurn(address(), read) : atOnce);
      } catch (error) {
        if (!isFailure(error)) throw error;
        const afterMs = note(address());
        throw afterMs > 0 ? tooMany(afterMs) : error;
      }
    },
  };
}
