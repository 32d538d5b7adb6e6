import { join } from "node:path";
import type { Logger } from "pino";
import type { Closers } from "./closers.ts";
import {
  type AddressVariable,
  checkConnections,
  type DatabaseFacts,
  hostAndName,
  planConnections,
  readFacts,
} from "./database-facts.ts";
import {
  type Config,
  checkServerVersion,
  type DatabaseAddresses,
  migrate,
  sqlState,
  startEmbeddedPostgres,
} from "./kernel/index.ts";
import { StartError } from "./start-error.ts";

/** The connections of the embedded database, unless the configuration needs more. */
const EMBEDDED_CONNECTIONS = 100;
/** Connections that other programs may need, such as `towpath demo` or psql. */
const EMBEDDED_RESERVED = 20;

/** The next step after a failed migration, by SQLSTATE. */
const MIGRATION_ADVICE: Readonly<Record<string, string>> = {
  "42501":
    "The database user may not create tables. Grant it CREATE on the database and on its schema public.",
  "55P03":
    "Another session holds a table that a migration must change. Find it in pg_stat_activity, end it, and start again.",
};

async function migrateOrSay(url: string, log: Logger): Promise<void> {
  try {
    await migrate(url, { log });
  } catch (cause) {
    const state = sqlState(cause);
    const advice = MIGRATION_ADVICE[state ?? ""] ?? "The log has the cause.";
    throw new StartError(
      "migration-failed",
      `The database at ${hostAndName(url)} could not be migrated to this release (${state ?? "no answer"}). ${advice}`,
      cause,
    );
  }
}

/** @throws StartError unless both addresses lead to the same database. */
function checkSame(args: { variable: AddressVariable; facts: DatabaseFacts; main: DatabaseFacts }): void {
  const { facts, main, variable } = args;
  if (facts.system === main.system && facts.name === main.name) return;
  throw new StartError(
    "different-databases",
    `${variable} leads to another database than DATABASE_URL. Correct one of them.`,
  );
}

/** @returns the address of the server itself, and its facts. */
async function findDirect(config: Config, args: { url: string; main: DatabaseFacts }) {
  const { url, main } = args;
  const directUrl = config.databaseDirectUrl;
  if (directUrl === null && !main.isPooled) return { url, facts: main };
  if (directUrl === null)
    throw new StartError(
      "pooler-without-direct-url",
      `A connection pooler answers at ${hostAndName(url)}. Migrations and LISTEN need a direct connection. ` +
        "Set DATABASE_DIRECT_URL to the address of the Postgres server itself.",
    );
  const facts = await readFacts({ url: directUrl, variable: "DATABASE_DIRECT_URL" });
  if (facts.isPooled)
    throw new StartError(
      "direct-url-is-pooled",
      `A connection pooler also answers at ${hostAndName(directUrl)}. Set DATABASE_DIRECT_URL to the address of the Postgres server itself.`,
    );
  checkSame({ variable: "DATABASE_DIRECT_URL", facts, main });
  return { url: directUrl, facts };
}

/** @returns the standby for people's reads. Null if none is configured or reachable: reads work without it. */
async function findRead(config: Config, args: { main: DatabaseFacts; log: Logger }) {
  const { main, log } = args;
  const url = config.databaseReadUrl;
  if (url === null) return null;
  const facts = await readFacts({ url, variable: "DATABASE_READ_URL" }).catch((error: unknown) => {
    if (!(error instanceof StartError) || error.code !== "database-unreachable") throw error;
    log.warn(
      { database: hostAndName(url) },
      "the standby at DATABASE_READ_URL cannot be reached; people's reads use the primary until this process restarts",
    );
    return null;
  });
  if (facts === null) return null;
  checkSame({ variable: "DATABASE_READ_URL", facts, main });
  if (!facts.isStandby)
    throw new StartError(
      "read-url-is-no-standby",
      `The database at ${hostAndName(url)} is not a standby. Set DATABASE_READ_URL to a standby of the database at DATABASE_URL, or unset it.`,
    );
  return { url, facts };
}

async function openExternal(config: Config, args: { url: string; log: Logger }): Promise<DatabaseAddresses> {
  const { url, log } = args;
  const main = await readFacts({ url, variable: "DATABASE_URL" });
  await checkServerVersion(async () => main.version);
  const direct = await findDirect(config, { url, main });
  const read = await findRead(config, { main, log });
  const isPooled = direct.url !== url;
  const plan = planConnections(config);
  // A pooler decides by itself how many connections it opens to the server.
  const opens = isPooled ? plan.wakeUps : plan.total;
  log.info({ ...plan, pooled: isPooled, readReplica: read !== null }, "connections of this process");
  checkConnections({ url: direct.url, opens, facts: direct.facts, log });
  if (read !== null && !read.facts.isPooled)
    checkConnections({ url: read.url, opens: plan.reads + 1, facts: read.facts, log });
  await migrateOrSay(direct.url, log);
  const standby = read === null ? null : { url: read.url, isPooled: read.facts.isPooled };
  return { url, directUrl: direct.url, isPooled, read: standby };
}

/** Where the database is. */
export interface OpenedPostgres extends DatabaseAddresses {
  /** Whether it is embedded, and was stopped cleanly by the last process: it has lost nothing since. */
  readonly continues: boolean;
}

/**
 * Opens the configured database, or starts the embedded one, and migrates it to this release.
 * @param args.onLost called once if the embedded database stops unexpectedly.
 * @returns Its addresses, which contain passwords.
 * @throws StartError or PostgresStartError with the next step.
 */
export async function openPostgres(
  config: Config,
  args: { log: Logger; closers: Closers; onLost: (reason: string) => void },
): Promise<OpenedPostgres> {
  const { log } = args;
  if (config.databaseUrl !== null)
    return { ...(await openExternal(config, { url: config.databaseUrl, log })), continues: false };
  const connections = Math.max(EMBEDDED_CONNECTIONS, planConnections(config).total + EMBEDDED_RESERVED);
  const server = await startEmbeddedPostgres({
    dir: join(config.stateDir, "postgres"),
    settings: { max_connections: String(connections) },
    log: (line) => log.debug({ line }, "postgres"),
    onExit: (exit) =>
      args.onLost(
        `The embedded database stopped unexpectedly (${exit.code ?? exit.signal}). Start the control plane again. Nothing acknowledged is lost, and started runs continue meanwhile.`,
      ),
  });
  args.closers.push(() => server.stop());
  await migrateOrSay(server.url, log);
  return { url: server.url, directUrl: server.url, isPooled: false, read: null, continues: server.continues };
}
