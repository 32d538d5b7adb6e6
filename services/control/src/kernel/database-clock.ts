import { sql } from "#sql";
import type { Clock } from "./clock.ts";
import type { Queryable } from "./database.ts";

/** How often the database is asked for its time, milliseconds. Between, this machine counts: it drifts by less than a tenth of one. */
const ASK_EVERY_MS = 30_000;
/** An answer that took longer says too little about when it was given, milliseconds. */
const ROUND_TRIP_MAX_MS = 500;

/** What the database said, and when by this machine's count of time since some start. */
interface Reading {
  readonly databaseMs: number;
  readonly atMs: number;
  readonly tookMs: number;
}

async function ask(from: Queryable): Promise<Reading> {
  const sentMs = performance.now();
  const [row] = await from.execute<{ ms: number }>(
    sql`select extract(epoch from clock_timestamp())::float8 * 1000 as ms`,
  );
  const tookMs = performance.now() - sentMs;
  return { databaseMs: row?.ms ?? 0, atMs: sentMs + tookMs / 2, tookMs };
}

/**
 * The clock of production: the database's time, also where a process needs it without asking (ids, sessions of workers,
 * expiry of specs). So processes on hosts whose clocks differ, or are set while they run, agree on it. It is asked for
 * again every half a minute.
 * @throws the database's error if it cannot be asked at first; later it counts on without an answer.
 */
export async function followDatabaseClock(from: Queryable): Promise<Clock & { stop(): void }> {
  let last = await ask(from);
  const timer = setInterval(() => {
    ask(from).then(
      (reading) => {
        if (reading.tookMs <= ROUND_TRIP_MAX_MS || last.tookMs > ROUND_TRIP_MAX_MS) last = reading;
      },
      () => {},
    );
  }, ASK_EVERY_MS);
  timer.unref();
  return {
    nowMs: () => Math.floor(last.databaseMs + performance.now() - last.atMs),
    nowOrNull: () => null,
    stop: () => clearInterval(timer),
  };
}
