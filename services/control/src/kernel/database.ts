import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres, { type Sql } from "postgres";
import { withSafeTransactions } from "./begin.ts";

/** How many connections each use may hold. */
export interface DatabaseLimits {
  /** Writes and worker calls. @default 10 */
  readonly workConnections?: number;
  /** Reads for people, which have a budget of their own. @default 4 */
  readonly readConnections?: number;
  /** Longest statement of a read for people, milliseconds. @default 5000 */
  readonly readTimeoutMs?: number;
  /** Longest statement of anything else, milliseconds. @default 60000 */
  readonly workTimeoutMs?: number;
  /**
   * How long a transaction may wait for us between two of its statements, milliseconds. One that waits holds its locks,
   * and what the database may clean up: a process that is paused in the middle of one must not stop the others.
   * @default 20000
   */
  readonly idleTransactionMs?: number;
}

/**
 * The database as slices see it. drizzle changes its client's parsing, so it has a client of its own; `sql` is raw
 * postgres.js for what drizzle cannot say; reads for people never take a connection from the workers.
 */
export interface Database {
  readonly db: PostgresJsDatabase;
  readonly sql: Sql;
  readonly reads: PostgresJsDatabase;
  readonly url: string;
  close(): Promise<void>;
}

/** A transaction of `Database.db`. */
export type Tx = Parameters<Parameters<PostgresJsDatabase["transaction"]>[0]>[0];

/** Something that can run statements: the pool or a transaction. */
export type Queryable = PostgresJsDatabase | Tx;

/** Connections for what drizzle cannot say, and for waking others. */
const RAW_CONNECTIONS = 4;
const IDLE_TRANSACTION_MS = 20_000;
/**
 * Statements of workers and loops are written so that one plan serves all parameters (see `prepared`). Left to itself the
 * server planned most of them anew at each call, because it takes an unknown list for ten items and finds one: for a
 * claim that was 0.5 ms of planning to 0.8 ms of work.
 */
const WORK_PLANS = { plan_cache_mode: "force_generic_plan" } as const;

/** How long the database may take to accept a connection. Requests wait for it, so that they are told before they give up. */
const CONNECT_TIMEOUT_SECONDS = 10;
/** The longest pause before a connection is tried again: whoever asks meanwhile waits for it. */
const BACKOFF_MAX_SECONDS = 1;

/** postgres.js waits up to 20 seconds by itself, in which a database that is back is not used. */
function backoffSeconds(failures: number): number {
  return (0.5 + Math.random() / 2) * Math.min(3 ** failures / 100, BACKOFF_MAX_SECONDS);
}

/** Opens the pools of connections. Connects lazily: the first statement fails if the server is away. */
export function openDatabase(url: string, limits: DatabaseLimits = {}): Database {
  const idleMs = limits.idleTransactionMs ?? IDLE_TRANSACTION_MS;
  const open = (connections: number, timeoutMs: number, plans = {}) => {
    const connection = {
      statement_timeout: timeoutMs,
      idle_in_transaction_session_timeout: idleMs,
      ...plans,
    };
    const quiet = { onnotice: () => {}, backoff: backoffSeconds, connect_timeout: CONNECT_TIMEOUT_SECONDS };
    return withSafeTransactions(postgres(url, { ...quiet, max: connections, connection }));
  };
  const workTimeoutMs = limits.workTimeoutMs ?? 60_000;
  const work = open(limits.workConnections ?? 10, workTimeoutMs, WORK_PLANS);
  const raw = open(RAW_CONNECTIONS, workTimeoutMs);
  const read = open(limits.readConnections ?? 4, limits.readTimeoutMs ?? 5_000);
  return {
    db: drizzle(work),
    sql: raw,
    reads: drizzle(read),
    url,
    async close() {
      await Promise.all([work.end({ timeout: 5 }), raw.end({ timeout: 5 }), read.end({ timeout: 5 })]);
    },
  };
}
