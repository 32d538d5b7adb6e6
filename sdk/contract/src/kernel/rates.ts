/** Whose requests a limit counts. */
export type RateSubject = "key" | "workspace" | "worker" | "address";

/** One class of limit, and the requests per second that each subject may send. */
export interface RateLimit {
  readonly summary: string;
  readonly perSecond: Readonly<Partial<Record<RateSubject, number>>>;
}

/**
 * The rate limits. Every route names its class in the column `rate`. An idle subject may send at once as many requests as are
 * allowed in `RATE_WINDOW_SECONDS`. Workers have their own classes and are counted by worker, not by address, so that
 * neither people's requests nor a large fleet behind one address can starve them. A worker chooses its own id, so its key and
 * its workspace have limits, too, of ten and twenty busy workers. One key alone cannot use up the limit of its workspace.
 */
export const RATE_LIMITS = {
  read: { summary: "Reading", perSecond: { key: 500, workspace: 1000 } },
  write: { summary: "Making, changing and removing", perSecond: { key: 100, workspace: 200 } },
  run: { summary: "Starting, answering and ending runs", perSecond: { key: 1000, workspace: 2000 } },
  stream: { summary: "Opening a stream of events", perSecond: { key: 20, workspace: 100 } },
  session: { summary: "A worker exchanging its key for a session", perSecond: { key: 100, workspace: 200 } },
  worker: {
    summary: "The worker protocol",
    perSecond: { worker: 1000, key: 10_000, workspace: 20_000 },
  },
  public: { summary: "Requests without a key", perSecond: { address: 100 } },
} as const satisfies Record<string, RateLimit>;

/** The name of a class of limit. */
export type RateClass = keyof typeof RATE_LIMITS;

/** Every class, for schemas and tables. */
// The table is an object literal: it has no other keys.
export const RATE_CLASSES = Object.keys(RATE_LIMITS) as readonly RateClass[];

/**
 * A `Retry-After` header of seconds as milliseconds. Null for anything else. A date is ignored, because the
 * reader's clock may be wrong.
 */
export function retryAfterOf(header: string | null): number | null {
  return header !== null && /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1000 : null;
}

/** The window of a limit, seconds. */
export const RATE_WINDOW_SECONDS = 10;

/**
 * Limits for failed authentication from one address. The first `free` failures get status 401. Further ones get
 * 429, and the address is paused; the pause doubles up to the longest. While an address is paused, a key that the
 * process remembers and a worker's session are still served at once. Other keys wait until they are checked. All
 * paused addresses share a few checks (`checksAtOnce`), one address after the other. Each address may have
 * `waitingMost` waiting checks. Further requests get 429, even with a valid key.
 */
export const FAILED_KEYS = {
  free: 20,
  firstPauseMs: 1_000,
  longestPauseMs: 5 * 60_000,
  /** The failures of an address are forgotten after this time without a new one. */
  forgottenAfterMs: 15 * 60_000,
  checksAtOnce: 3,
  waitingMost: 256,
} as const;
