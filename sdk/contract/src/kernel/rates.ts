/** Whose requests a limit counts: those of one key, of a workspace, of one worker, or of a network address. */
export type RateSubject = "key" | "workspace" | "worker" | "address";

/** One class of limit: what it is for, and how many requests a second each subject may send for good. */
export interface RateLimit {
  readonly summary: string;
  readonly perSecond: Readonly<Partial<Record<RateSubject, number>>>;
}

/**
 * How many requests may come. Every route names its class (column `rate`). A subject that has been quiet may send as many at once
 * as it may send in `RATE_WINDOW_SECONDS`. Workers have classes of their own, counted by worker and not by address, so that
 * neither people's traffic nor a large fleet behind one address can starve them. A worker chooses its id, so its key has a limit
 * too, that of ten busy workers, and its workspace that of twenty: more than one process serves. One key alone cannot use
 * up what its workspace may send.
 */
export const RATE_LIMITS = {
  read: { summary: "Reading", perSecond: { key: 500, workspace: 1000 } },
  write: { summary: "Making, changing and deleting", perSecond: { key: 100, workspace: 200 } },
  run: { summary: "Starting, answering and ending runs", perSecond: { key: 1000, workspace: 2000 } },
  stream: { summary: "Opening a stream of events", perSecond: { key: 20, workspace: 100 } },
  session: { summary: "A worker exchanging its key for a session", perSecond: { key: 100, workspace: 200 } },
  worker: {
    summary: "The worker protocol",
    perSecond: { worker: 1000, key: 10_000, workspace: 20_000 },
  },
  public: { summary: "What needs no key", perSecond: { address: 100 } },
} as const satisfies Record<string, RateLimit>;

/** The name of a class of limit. */
export type RateClass = keyof typeof RATE_LIMITS;

/** Every class, for schemas and tables. */
// The table is an object literal: it has no other keys.
export const RATE_CLASSES = Object.keys(RATE_LIMITS) as readonly RateClass[];

/**
 * What a `Retry-After` header says in seconds, as milliseconds; null for anything else. An instant is ignored: the
 * reader's clock may be wrong.
 */
export function retryAfterOf(header: string | null): number | null {
  return header !== null && /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1000 : null;
}

/** The window of a limit, seconds. */
export const RATE_WINDOW_SECONDS = 10;

/**
 * What follows failed attempts to authenticate from one address. The first `free` ones are answered with 401. The next ones are
 * answered with 429, and the address pauses; the pause doubles up to the longest. While an address pauses, a key that the
 * process remembers and a worker's session are still served at once. Any other key waits for its turn to be checked. All
 * addresses that pause share a few turns (`checksAtOnce`), one address after the other. Each address may have
 * `waitingMost` checks waiting; further ones are answered with 429, even with a valid key.
 */
export const FAILED_KEYS = {
  free: 20,
  firstPauseMs: 1_000,
  longestPauseMs: 5 * 60_000,
  /** An address without a failure for so long begins anew. */
  forgottenAfterMs: 15 * 60_000,
  checksAtOnce: 3,
  waitingMost: 256,
} as const;
