import { join } from "node:path";
import type { Logger } from "pino";
import type { Closers } from "./closers.ts";
import {
  type AddressVariable,
  checkConnections,
  type DatabaseFacts,
  placeOf,
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

/** Connections of the embedded database, unless the configuration asks for more. */
const EMBEDDED_CONNECTIONS = 100;
/** What it keeps for others than this process: `towpath demo`, a person with psql. */
const EMBEDDED_SPARE = 20;

/** What to do when a migration failed, by SQLSTATE. */
const MIGRATION_ADVICE: Readonly<Record<string, string>> = {
  "42501": "Its user may not create tables: grant CREATE on the database and on its schema public.",
  "55P03":
    "Another session holds a table that a migration must change. Find it in pg_stat_activity, end it, and start again.",
};

async function migrateOrSay(url: string, log: Logger): Promise<void> {
  try {
    await migrate(url, { log });
  } catch (cause) {
    const state = sqlState(cause);
    const advice = MIGRATION_ADVICE[state ?? ""] ?? "See the cause in the log.";
    throw new StartError(
      "migration-failed",
      `The database at ${placeOf(url)} could not be brought to this release (${state ?? "no answer"}). ${advice}`,
      cause,
    );
  }
}

/** @throws StartError unless both addresses lead to one database. */
function checkSame(args: { variable: AddressVariable; facts: DatabaseFacts; main: DatabaseFacts }): void {
  const { facts, main, variable } = args;
  if (facts.system === main.system && facts.name === main.name) return;
  throw new StartError(
    "different-databases",
    `${variable} leads to another database than DATABASE_URL. Correct one of them.`,
  );
}

/** @returns the address that leads to the database itself, and what is known of it. */
async function findDirect(config: Config, args: { url: string; main: DatabaseFacts }) {
  const { url, main } = args;
  const directUrl = config.databaseDirectUrl;
  if (directUrl === null && !main.isPooled) return { url, facts: main };
  if (directUrl === null)
    throw new StartError(
      "pooler-without-direct-url",
      `A connection pooler answers at ${placeOf(url)}. Migrations and LISTEN need a connection of their own: ` +
        "set DATABASE_DIRECT_URL to the same database past the pooler.",
    );
  const facts = await readFacts({ url: directUrl, variable: "DATABASE_DIRECT_URL" });
  if (facts.isPooled)
    throw new StartError(
      "direct-url-is-pooled",
      `A connection pooler answers at ${placeOf(directUrl)}, too. Set DATABASE_DIRECT_URL to the address of the Postgres server itself.`,
    );
  checkSame({ variable: "DATABASE_DIRECT_URL", facts, main });
  return { url: directUrl, facts };
}

/** @returns the standby for people's reads; null if there is none, or none that can be reached: it is never needed. */
async function findRead(config: Config, args: { main: DatabaseFacts; log: Logger }) {
  const { main, log } = args;
  const url = config.databaseReadUrl;
  if (url === null) return null;
  const facts = await readFacts({ url, variable: "DATABASE_READ_URL" }).catch((error: unknown) => {
    if (!(error instanceof StartError) || error.code !== "database-unreachable") throw error;
    log.warn(
      { database: placeOf(url) },
      "the standby at DATABASE_READ_URL cannot be reached; people's reads go to the primary until this process starts again",
    );
    return null;
  });
  if (facts === null) return null;
  checkSame({ variable: "DATABASE_READ_URL", facts, main });
  if (!facts.isStandby)
    throw new StartError(
      "read-url-is-no-standby",
      `The database at ${placeOf(url)} is no standby. Set DATABASE_READ_URL to a standby of the database at DATABASE_URL, or unset it.`,
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
  // A pooler decides itself how many connections it opens for ours.
  const opens = isPooled ? plan.wakeUps : plan.total;
  log.info({ ...plan, pooled: isPooled, readReplica: read !== null }, "connections of this process");
  checkConnections({ url: direct.url, opens, facts: direct.facts, log });
  if (read !== null && !read.facts.isPooled)
    checkConnections({ url: read.url, opens: plan.reads + 1, facts: read.facts, log });
  await migrateOrSay(direct.url, log);
  const standby = read === null ? null : { url: read.url, isPooled: read.facts.isPooled };
  return { url, directUrl: direct.url, isPooled, read: standby };
}

/**
 * Opens the database that the configuration names, or starts the embedded one, and brings it to this release.
 * @param args.onLost called once if the embedded database ends although nobody stopped it.
 * @returns Its addresses: secrets.
 * @throws StartError or PostgresStartError, with a sentence that says what to do.
 */
export async function openPostgres(
  config: Config,
  args: { log: Logger; closers: Closers; onLost: (reason: string) => void },
): Promise<DatabaseAddresses> {
  const { log } = args;
  if (config.databaseUrl !== null) return openExternal(config, { url: config.databaseUrl, log });
  const connections = Math.max(EMBEDDED_CONNECTIONS, planConnections(config).total + EMBEDDED_SPARE);
  const server = await startEmbeddedPostgres({
    dir: join(config.stateDir, "postgres"),
    settings: { max_connections: String(connections) },
    log: (line) => log.debug({ line }, "postgres"),
    onExit: (exit) =>
      args.onLost(
        `The embedded database ended by itself (${exit.code ?? exit.signal}). Start the control plane again: what was acknowledged is there, and runs go on meanwhile.`,
      ),
  });
  args.closers.push(() => server.stop());
  await migrateOrSay(server.url, log);
  return { url: server.url, directUrl: server.url, isPooled: false, read: null };
}
