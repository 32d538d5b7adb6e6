import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const HOME = "/usr/lib/postgresql";
const OLDEST = 15;

/**
 * Finds the programs of a full Postgres (`pg_basebackup`, `pg_ctl`, `psql`), as Debian installs them. Undefined if there are none: the
 * tests that need them are then skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export function findPostgresPrograms(): string | undefined {
  const versions = existsSync(HOME) ? readdirSync(HOME).map(Number) : [];
  const [newest] = versions.filter((version) => version >= OLDEST).sort((a, b) => b - a);
  const found = newest === undefined ? undefined : join(HOME, String(newest), "bin");
  if (found !== undefined && existsSync(join(found, "pg_basebackup"))) return found;
  const missing =
    "The test of backups needs Postgres 15 or later with its client programs (apt-get install postgresql).";
  if (process.env.CI) throw new Error(missing);
  process.stderr.write(`SKIPPED: ${missing}\n`);
  return undefined;
}
