/** Bounds of a back-off. */
export interface BackoffLimits {
  /** The first wait, milliseconds. */
  readonly firstMs: number;
  /** The longest wait, milliseconds. */
  readonly mostMs: number;
}

/** For calls to a control plane that cannot be reached. Its first wait is short, so that work goes on soon after the control plane is back. */
export const NETWORK_BACKOFF: BackoffLimits = { firstMs: 100, mostMs: 15_000 };

/** More doublings than this would leave the range of whole numbers. */
const DOUBLINGS_MAX = 30;

/** The first wait, doubled for each of the earlier `failures`, up to the longest wait. Milliseconds. */
export function doubledMs(failures: number, { firstMs, mostMs }: BackoffLimits): number {
  return Math.min(mostMs, firstMs * 2 ** Math.min(failures, DOUBLINGS_MAX));
}

/**
 * The wait before the next try after `failures` earlier ones, milliseconds: doubled, then reduced by up to a half, so that
 * callers which failed together do not return together.
 * @param random A number from 0 up to 1, such as `Math.random`.
 */
export function backoffMs(failures: number, limits: BackoffLimits, random: () => number): number {
  return Math.round(doubledMs(failures, limits) * (0.5 + random() / 2));
}

/** Counts failures in a row and says how long to wait after each. */
export interface Backoff {
  /**
   * Notes a failure. Returns how long to wait, milliseconds.
   * @param atLeastMs What the other side asks for. It counts up to the longest wait.
   */
  next(atLeastMs?: number): number;
  /** Notes a success. */
  reset(): void;
}

/** Makes a back-off without failures. @param random As for `backoffMs`. */
export function createBackoff(random: () => number, limits: BackoffLimits = NETWORK_BACKOFF): Backoff {
  let failures = 0;
  return {
    next(atLeastMs = 0) {
      const ownMs = backoffMs(failures, limits, random);
      failures += 1;
      return Math.max(ownMs, Math.min(limits.mostMs, atLeastMs));
    },
    reset() {
      failures = 0;
    },
  };
}
