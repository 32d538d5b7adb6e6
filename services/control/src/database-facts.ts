import type { Logger } from "pino";
import postgres from "postgres";
import { type Config, sqlState, WAKE_CONNECTIONS } from "./kernel/index.ts";
import { StartError } from "./start-error.ts";

/** How long an external database may take to accept the first connection, seconds. */
const CONNECT_TIMEOUT_SECONDS = 10;

/** Facts about the database at an address. */
export interface DatabaseFacts {
  /** The value of `server_version_num`. */
  readonly version: string;
  /** The system identifier, which a server shares with its standbys and copies. */
  readonly system: string;
  readonly name: string;
  readonly isStandby: boolean;
  /** A connection pooler answers at this address. */
  readonly isPooled: boolean;
  /** How many connections this user may open, and how many are open. */
  readonly allowed: number;
  readonly inUse: number;
}

/** The variable that holds an address. */
export type AddressVariable = "DATABASE_URL" | "DATABASE_DIRECT_URL" | "DATABASE_READ_URL";

/** The host and name of a database, without credentials. */
export function hostAndName(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

/** SQLSTATE classes of a refused connection: wrong password, or no such database or role. */
const REFUSALS = ["28", "3D"];

function unreachable(args: { url: string; variable: AddressVariable; cause: unknown }): StartError {
  const { url, variable, cause } = args;
  const state = sqlState(cause);
  if (state !== null && REFUSALS.includes(state.slice(0, 2)))
    return new StartError(
      "database-refused",
      `The database at ${hostAndName(url)} refuses the connection (${state}). Check the user, password and database name in ${variable}.`,
      cause,
    );
  const instead = variable === "DATABASE_URL" ? ", or unset DATABASE_URL to use the embedded database" : "";
  return new StartError(
    "database-unreachable",
    `The database at ${hostAndName(url)} cannot be reached. Start it or correct ${variable}${instead}.`,
    cause,
  );
}

const READ_FACTS = `
  select current_setting('server_version_num') as version, current_database() as name,
    (select system_identifier::text from pg_control_system()) as system, pg_is_in_recovery() as "isStandby",
    pg_backend_pid() as pid,
    (select count(*)::int from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()) as "inUse",
    least(
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
      (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user),
      (select nullif(datconnlimit, -1) from pg_database where datname = current_database())) as allowed`;

/**
 * Reads facts about the database at an address. A server announces to each new connection the id of the process that
 * serves it; behind a pooler another process answers.
 * @throws StartError `database-unreachable` or `database-refused`.
 */
export async function readFacts(args: { url: string; variable: AddressVariable }): Promise<DatabaseFacts> {
  const quiet = { max: 1, onnotice: () => {}, prepare: false, fetch_types: false };
  const client = postgres(args.url, { ...quiet, connect_timeout: CONNECT_TIMEOUT_SECONDS });
  try {
    const rows = await client
      .unsafe<(DatabaseFacts & { pid: number })[]>(READ_FACTS)
      .catch((cause: unknown) => {
        throw unreachable({ ...args, cause });
      });
    const [row] = rows;
    if (row === undefined) throw unreachable({ ...args, cause: null });
    const { pid, ...facts } = row;
    return { ...facts, isPooled: rows.state.pid !== pid };
  } finally {
    await client.end({ timeout: 1 });
  }
}

/** The most connections that a process opens: to the server, and to the read replica. */
export interface ConnectionPlan {
  readonly work: number;
  readonly reads: number;
  readonly wakeUps: number;
  readonly total: number;
}

/** The connections that the configuration allows, with their sum. */
export function planConnections(config: Pick<Config, "workConnections" | "readConnections">): ConnectionPlan {
  const { workConnections: work, readConnections: reads } = config;
  return { work, reads, wakeUps: WAKE_CONNECTIONS, total: work + reads + WAKE_CONNECTIONS };
}

const LESS = "Lower TOWPATH_WORK_CONNECTIONS or TOWPATH_READ_CONNECTIONS";

/**
 * Compares the connections of this process with those that the server allows, and logs both.
 * @param args.opens how many connections it opens to this address
 * @throws StartError `too-few-connections` if the server allows fewer than this process alone may open.
 */
export function checkConnections(args: {
  url: string;
  opens: number;
  facts: Pick<DatabaseFacts, "allowed" | "inUse">;
  log: Pick<Logger, "info" | "warn">;
}): void {
  const { opens, log, url } = args;
  const { allowed, inUse } = args.facts;
  if (opens > allowed)
    throw new StartError(
      "too-few-connections",
      `This process opens up to ${opens} connections, but the database at ${hostAndName(url)} allows ${allowed}. ${LESS}, or raise max_connections.`,
    );
  const counts = { database: hostAndName(url), opens, allowed, inUse };
  if (opens + inUse <= allowed) log.info(counts, "connections to the database");
  else
    log.warn(
      counts,
      `connections to the database may run out: this process opens up to ${opens}, other clients use ${inUse} of ${allowed} now. ${LESS}, or raise max_connections`,
    );
}
