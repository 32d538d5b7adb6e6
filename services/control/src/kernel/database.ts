import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres, { type Sql } from "postgres";

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

/** Opens the pools of connections. Connects lazily: the first statement fails if the server is away. */
export function openDatabase(url: string, limits: DatabaseLimits = {}): Database {
  const quiet = { onnotice: () => {} };
  const work = postgres(url, {
    ...quiet,
    max: limits.workConnections ?? 10,
    connection: { statement_timeout: limits.workTimeoutMs ?? 60_000 },
  });
  const raw = postgres(url, { ...quiet, max: 4 });
  const read = postgres(url, {
    ...quiet,
    max: limits.readConnections ?? 4,
    connection: { statement_timeout: limits.readTimeoutMs ?? 5_000 },
  });
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
