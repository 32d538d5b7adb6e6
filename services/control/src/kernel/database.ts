import { backoffMs } from "@towpath/contract";
import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import type { Logger } from "pino";
import postgres, { type Sql } from "postgres";
import { withSafeTransactions } from "./begin.ts";
import { CONNECTIONS, RAW_CONNECTIONS } from "./connections.ts";
import { withCarriedStatements } from "./late-statement.ts";
import { ReadReplica } from "./read-replica.ts";
import { ReadTurns } from "./read-turns.ts";

/** Where a database is reached. */
export interface DatabaseAddresses {
  readonly url: string;
  /** Leads past a pooler: for LISTEN, for migrations, and for what wakes others. The same as `url` where there is none. */
  readonly directUrl: string;
  /** A pooler in transaction mode answers at `url`: a connection keeps nothing from one transaction to the next. */
  readonly isPooled: boolean;
  /** A standby for people's reads; null: they go to `url`. */
  readonly read: { readonly url: string; readonly isPooled: boolean } | null;
}

/** How many connections each use may hold. */
export interface DatabaseLimits {
  /** Writes and worker calls. @default 10 */
  readonly workConnections?: number;
  /** Reads for people, which have a budget of their own; as many of the read replica, where there is one. @default 4 */
  readonly readConnections?: number;
  /** Hears how the read replica does. @default nobody */
  readonly log?: Pick<Logger, "info" | "warn">;
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
  /** Calls back whenever a connection was lost, before another takes its place. */
  onLost(listener: () => void): void;
  close(): Promise<void>;
}

/** A transaction of `Database.db`. */
export type Tx = Parameters<Parameters<PostgresJsDatabase["transaction"]>[0]>[0];

/** Something that can run statements: the pool or a transaction. */
export type Queryable = PostgresJsDatabase | Tx;

const IDLE_TRANSACTION_MS = 20_000;
/**
 * Statements of workers and loops are written so that one plan serves all parameters (see `prepared`). Left to itself the
 * server planned most of them anew at each call, because it takes an unknown list for ten items and finds one: for a
 * claim that was 0.5 ms of planning to 0.8 ms of work.
 */
const WORK_PLANS = { plan_cache_mode: "force_generic_plan" } as const;

/** How long the database may take to accept a connection. Requests wait for it, so that they are told before they give up. */
const CONNECT_TIMEOUT_SECONDS = 10;
/** How much later than the replica's own limit a read that is not answered goes to the primary, milliseconds. */
const REPLICA_GRACE_MS = 1_000;
/** Short: requests wait until a lost connection is tried again. By default postgres.js waits up to 20 seconds. */
const RECONNECT_BACKOFF = { firstMs: 15, mostMs: 1_000 } as const;

/** What a pool of connections is for. */
interface Pool {
  readonly url: string;
  readonly isPooled: boolean;
  readonly connections: number;
  readonly settings: Readonly<Record<string, string | number>>;
  /** Called whenever a connection was lost. @default nobody is told */
  readonly onclose?: () => void;
}

/**
 * Opens one pool. Its settings hold for its connections; behind a pooler, where nothing does, for each transaction, and
 * each statement is in one.
 */
function openPool({ url, isPooled, connections, settings, onclose = () => {} }: Pool): Sql {
  const quiet = {
    onnotice: () => {},
    onclose,
    backoff: (failures: number) => backoffMs(failures, RECONNECT_BACKOFF, Math.random) / 1_000,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    // Its question about array types fails beside every statement when a connection is lost meanwhile, where nobody hears it,
    // and that ends the process. Arrays go as text instead, and come as JSON or through their column.
    fetch_types: false,
  };
  const options = { ...quiet, max: connections };
  if (!isPooled) return withSafeTransactions(postgres(url, { ...options, connection: settings }));
  const first = Object.entries(settings).map(([name, value]) => `set local ${name} = '${value}'`);
  const pool = withSafeTransactions(postgres(url, { ...options, prepare: false }), first.join("; "));
  return withCarriedStatements(pool, (send) => pool.begin((tx) => send(tx.unsafe)));
}

/** Lets people's reads take turns, and go to the replica where that has what they may see. @returns the pool for drizzle */
function shareReads(
  primary: Sql,
  args: { replica: Sql | null; gate: ReadReplica | null; places: number },
): Sql {
  const turns = new ReadTurns(args.places);
  const here = primary.unsafe;
  const there = args.replica?.unsafe;
  return withCarriedStatements(primary, (send) =>
    turns.during(async () => {
      if (there === undefined || args.gate === null || !(await args.gate.isCurrent())) return send(here);
      try {
        return await args.gate.limited(send(there));
      } catch (error) {
        if (!args.gate.mayPass(error)) throw error;
        return send(here);
      }
    }),
  );
}

/** Opens the pools of connections. Connects lazily: the first statement fails if the server is away. */
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
  // drizzle changes how a pool reads dates, so it is told of the replica's, too.
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
