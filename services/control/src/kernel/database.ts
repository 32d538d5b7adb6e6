import { backoffMs } from "@towpath/contract";
import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import type { Logger } from "pino";
import postgres, { type Sql } from "postgres";
import { withSafeTransactions } from "./begin.ts";
import { CONNECTIONS, RAW_CONNECTIONS } from "./config.ts";
import { withRoutedStatements } from "./lazy-statement.ts";
import { ReadReplica } from "./read-replica.ts";
import { ReadTurns } from "./read-turns.ts";

/** The addresses of a database. */
export interface DatabaseAddresses {
  readonly url: string;
  /** The server without the pooler: for LISTEN, NOTIFY and migrations. Equal to `url` without a pooler. */
  readonly directUrl: string;
  /** A pooler in transaction mode answers at `url`: a connection keeps no state between transactions. */
  readonly isPooled: boolean;
  /** A standby for people's reads. Null: they use `url`. */
  readonly read: { readonly url: string; readonly isPooled: boolean } | null;
}

/** The connections and time limits of each use. */
export interface DatabaseLimits {
  /** Writes and worker calls. @default 10 */
  readonly workConnections?: number;
  /** Reads for people have a budget of their own; the read replica, if any, gets the same number. @default 4 */
  readonly readConnections?: number;
  /** Logs the state of the read replica. @default none */
  readonly log?: Pick<Logger, "info" | "warn">;
  /** The longest statement of a read for people, milliseconds. @default 5000 */
  readonly readTimeoutMs?: number;
  /** The longest statement of anything else, milliseconds. @default 60000 */
  readonly workTimeoutMs?: number;
  /**
   * How long a transaction may be idle between two statements, milliseconds. It holds locks and keeps the database from
   * cleaning up, so a paused process must not block the others.
   * @default 20000
   */
  readonly idleTransactionMs?: number;
}

/**
 * The database for slices. drizzle changes the parsing of its client, so it has a client of its own; `sql` is raw
 * postgres.js for what drizzle does not support. People's reads never take a connection from workers.
 */
export interface Database {
  readonly db: PostgresJsDatabase;
  readonly sql: Sql;
  readonly reads: PostgresJsDatabase;
  readonly url: string;
  /** Calls the listener whenever a connection is lost, before another replaces it. */
  onLost(listener: () => void): void;
  close(): Promise<void>;
}

/** A transaction of `Database.db`. */
export type Tx = Parameters<Parameters<PostgresJsDatabase["transaction"]>[0]>[0];

/** Something that can run statements: the pool or a transaction. */
export type Queryable = PostgresJsDatabase | Tx;

const IDLE_TRANSACTION_MS = 20_000;
/**
 * Statements of workers and loops are written so that one plan fits all parameters (see `prepared`). By default the
 * server would plan most of them at each call, because it expects ten items in a list of unknown length.
 */
const WORK_PLANS = { plan_cache_mode: "force_generic_plan" } as const;

/** How long the database may take to accept a connection, seconds. Shorter than clients wait for an answer. */
const CONNECT_TIMEOUT_SECONDS = 10;
/** How long after the replica's own limit an unanswered read goes to the primary, milliseconds. */
const REPLICA_GRACE_MS = 1_000;
/** Short: requests wait until a lost connection is tried again. By default postgres.js waits up to 20 seconds. */
const RECONNECT_BACKOFF = { firstMs: 15, mostMs: 1_000 } as const;

/** The settings of a pool of connections. */
interface Pool {
  readonly url: string;
  readonly isPooled: boolean;
  readonly connections: number;
  readonly settings: Readonly<Record<string, string | number>>;
  /** Called whenever a connection is lost. @default none */
  readonly onclose?: () => void;
}

/**
 * Opens one pool. Its settings apply to its connections. Behind a pooler, where connections keep no settings, each
 * statement is in a transaction that sets them.
 */
function openPool({ url, isPooled, connections, settings, onclose = () => {} }: Pool): Sql {
  const quiet = {
    onnotice: () => {},
    onclose,
    backoff: (failures: number) => backoffMs(failures, RECONNECT_BACKOFF, Math.random) / 1_000,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    // The client's query for array types fails unhandled if a connection is lost meanwhile, which ends the process.
    // Arrays are sent as text instead, and are read as JSON or through their column.
    fetch_types: false,
  };
  const options = { ...quiet, max: connections };
  if (!isPooled) return withSafeTransactions(postgres(url, { ...options, connection: settings }));
  const first = Object.entries(settings).map(([name, value]) => `set local ${name} = '${value}'`);
  const pool = withSafeTransactions(postgres(url, { ...options, prepare: false }), first.join("; "));
  return withRoutedStatements(pool, (send) => pool.begin((tx) => send(tx.unsafe)));
}

/**
 * Shares the connections for people's reads fairly, and sends reads to the replica if it is current. @returns the pool
 * for drizzle
 */
function shareReads(
  primary: Sql,
  args: { replica: Sql | null; gate: ReadReplica | null; places: number },
): Sql {
  const turns = new ReadTurns(args.places);
  const here = primary.unsafe;
  const there = args.replica?.unsafe;
  return withRoutedStatements(primary, (send) =>
    turns.during(async () => {
      if (there === undefined || args.gate === null || !(await args.gate.isCurrent())) return send(here);
      try {
        return await args.gate.limited(send(there));
      } catch (error) {
        if (!args.gate.maySucceedOnPrimary(error)) throw error;
        return send(here);
      }
    }),
  );
}

/** Opens the pools of connections. They connect lazily: the first statement fails if the server is away. */
export function openDatabase(at: string | DatabaseAddresses, limits: DatabaseLimits = {}): Database {
  const addresses = typeof at === "string" ? { url: at, directUrl: at, isPooled: false, read: null } : at;
  const { url, directUrl, isPooled, read } = addresses;
  const idle = { idle_in_transaction_session_timeout: limits.idleTransactionMs ?? IDLE_TRANSACTION_MS };
  const working = { statement_timeout: limits.workTimeoutMs ?? 60_000, ...idle };
  const reading = { statement_timeout: limits.readTimeoutMs ?? 5_000, ...idle };
  const listeners: (() => void)[] = [];
  const onclose = () => {
    for (const listener of listeners) listener();
  };
  const { workConnections = CONNECTIONS.work, readConnections: places = CONNECTIONS.read } = limits;
  const work = openPool({
    url,
    isPooled,
    onclose,
    connections: workConnections,
    settings: { ...working, ...WORK_PLANS },
  });
  const raw = openPool({
    url: directUrl,
    isPooled: false,
    onclose,
    connections: RAW_CONNECTIONS,
    settings: working,
  });
  const primary = openPool({ url, isPooled, onclose, connections: places, settings: reading });
  const replica = read === null ? null : openPool({ ...read, connections: places, settings: reading });
  const look = read === null ? null : openPool({ ...read, connections: 1, settings: working });
  const readLimitMs = reading.statement_timeout + REPLICA_GRACE_MS;
  const gate =
    look === null ? null : new ReadReplica({ primary: raw, replica: look, readLimitMs, log: limits.log });
  // drizzle changes how a pool parses dates, so it must also know the replica's.
  if (replica !== null) drizzle(replica);
  const open = [work, raw, primary, replica, look].filter((pool) => pool !== null);
  return {
    db: drizzle(work),
    sql: raw,
    reads: drizzle(shareReads(primary, { replica, gate, places })),
    url: directUrl,
    onLost: (listener) => void listeners.push(listener),
    async close() {
      await Promise.all(open.map((pool) => pool.end({ timeout: 5 })));
    },
  };
}
