import { sql } from "#sql";
import type { Clock } from "./clock.ts";
import type { Queryable } from "./database.ts";

/** How often the database's time is read, milliseconds. In between, this machine's clock drifts by less than 0.1 ms. */
const ASK_EVERY_MS = 30_000;
/** The longest round trip, milliseconds. A slower answer is too inexact. */
const ROUND_TRIP_MAX_MS = 500;

/** The database's time, and this machine's monotonic time when it was read. */
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
 * The clock of production: the database's time without a query (for ids, workers' sessions, expiry of specs). Processes
 * on hosts with different clocks agree on it. It is read again every half a minute.
 * @throws the database's error if the first read fails. Later it continues without an answer.
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
