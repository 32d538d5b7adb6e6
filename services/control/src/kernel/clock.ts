import { type SQL, sql } from "#sql";

/** The source of time. Production decides by the database's clock; tests use their own. */
export interface Clock {
  /** Unix time in milliseconds, for ids and for logs. Never for a lease. */
  nowMs(): number;
  /** The time for SQL, or null for the database's: `coalesce(${clock.nowOrNull()}, now())`. */
  nowOrNull(): Date | null;
}

/** The time of a statement: the test's clock, or the database's. */
export function now(clock: Clock): SQL<Date> {
  return sql<Date>`coalesce(${clock.nowOrNull()?.toISOString() ?? null}::timestamptz, now())`;
}

/** The clock of short programs: this machine's for ids, the database's for decisions. Servers use `followDatabaseClock`. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  nowOrNull: () => null,
};

/** A clock that stands still until it is advanced. */
export function manualClock(startMs: number): Clock & { advance(ms: number): void } {
  let nowMs = startMs;
  return {
    nowMs: () => nowMs,
    nowOrNull: () => new Date(nowMs),
    advance(ms) {
      nowMs += ms;
    },
  };
}

/** The Date of a Unix time in milliseconds, for libraries that need one. */
export function dateOf(ms: number): Date {
  return new Date(ms);
}

/** The deciding clock's instant plus a duration. */
export function after(clock: Clock, ms: number): SQL<Date> {
  return sql<Date>`${now(clock)} + make_interval(secs => ${ms / 1000})`;
}
