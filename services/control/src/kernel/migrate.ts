import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate as runMigrations } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { PLACES } from "./places.ts";

/** Any number that no other program uses: the advisory lock that lets one process migrate at a time. */
const MIGRATION_LOCK = 7_281_947_021;

/**
 * Brings the database to this release's schema. Safe to call from several processes at once: one connection holds a
 * session lock while it works, the others wait and find nothing to do.
 */
export async function migrate(url: string): Promise<void> {
  const client = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await client`select pg_advisory_lock(${MIGRATION_LOCK})`;
    const migrationsFolder = fileURLToPath(PLACES.migrations);
    await runMigrations(drizzle(client), { migrationsFolder });
  } finally {
    await client.end({ timeout: 5 });
  }
}
