/** Bounds of a back-off. */
export interface BackoffLimits {
  /** The first wait, milliseconds. */
  readonly firstMs: number;
  /** The longest wait, milliseconds. */
  readonly mostMs: number;
}

/** For talking to a control plane that is away: back within a second of its return at first, and never a stampede. */
export const NETWORK_BACKOFF: BackoffLimits = { firstMs: 100, mostMs: 15_000 };

/** Counts failures in a row and says how long to wait after each. */
export interface Backoff {
  /**
   * Notes a failure; answers how long to wait, milliseconds.
   * @param atLeastMs What the other side asks for; beyond the longest wait it is not heeded.
   */
  next(atLeastMs?: number): number;
  /** Notes a success. */
  reset(): void;
}

/**
 * Doubles the wait with each failure and takes a random half of it off, so that workers do not come back in step.
 * @param random A number from 0 up to 1, such as `Math.random`.
 */
export function createBackoff(random: () => number, limits: BackoffLimits = NETWORK_BACKOFF): Backoff {
  let failures = 0;
  return {
    next(atLeastMs = 0) {
      const wholeMs = Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(failures, 30));
      failures += 1;
      const ownMs = Math.round(wholeMs * (0.5 + random() / 2));
      return Math.max(ownMs, Math.min(limits.mostMs, atLeastMs));
    },
    reset() {
      failures = 0;
    },
  };
}
