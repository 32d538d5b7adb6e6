import { join } from "node:path";
import type { Logger } from "pino";
import postgres from "postgres";
import type { Closers } from "./closers.ts";
import { type Config, checkServerVersion, migrate, sqlState, startEmbeddedPostgres } from "./kernel/index.ts";
import { StartError } from "./start-error.ts";

/** How long an external database may take to answer the first question, seconds. */
const CONNECT_TIMEOUT_SECONDS = 10;

/** Where a database is, without who may enter. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

/** SQLSTATE classes by which a server that was reached refuses us: wrong password, no such database or role. */
const REFUSALS = ["28", "3D"];

function unreachable(url: string, cause: unknown): StartError {
  const state = sqlState(cause);
  if (state !== null && REFUSALS.includes(state.slice(0, 2)))
    return new StartError(
      "database-refused",
      `The database at ${placeOf(url)} refuses the connection (${state}). Check the user, password and name in DATABASE_URL.`,
      cause,
    );
  return new StartError(
    "database-unreachable",
    `The database at ${placeOf(url)} cannot be reached. Start it or correct DATABASE_URL, or unset DATABASE_URL to use the embedded database.`,
    cause,
  );
}

async function checkExternal(url: string): Promise<void> {
  const client = postgres(url, { max: 1, onnotice: () => {}, connect_timeout: CONNECT_TIMEOUT_SECONDS });
  try {
    await checkServerVersion(async () => {
      try {
        const [row] = await client`select current_setting('server_version_num') as version`;
        return String(row?.version);
      } catch (cause) {
        throw unreachable(url, cause);
      }
    });
  } finally {
    await client.end({ timeout: 1 });
  }
}

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

/**
 * Opens the database that the configuration names, or starts the embedded one, and brings it to this release.
 * @param a.onLost called once if the embedded database ends although nobody stopped it.
 * @returns The connection string: a secret.
 * @throws StartError or PostgresStartError, with a sentence that says what to do.
 */
export async function openPostgres(
  config: Config,
  a: { log: Logger; closers: Closers; onLost: (reason: string) => void },
): Promise<string> {
  if (config.databaseUrl !== null) {
    await checkExternal(config.databaseUrl);
    await migrateOrSay(config.databaseUrl, a.log);
    return config.databaseUrl;
  }
  const server = await startEmbeddedPostgres({
    dir: join(config.stateDir, "postgres"),
    log: (line) => a.log.debug({ line }, "postgres"),
    onExit: (exit) =>
      a.onLost(
        `The embedded database ended by itself (${exit.code ?? exit.signal}). Start the control plane again: what was acknowledged is there, and runs go on meanwhile.`,
      ),
  });
  a.closers.push(() => server.stop());
  await migrateOrSay(server.url, a.log);
  return server.url;
}
