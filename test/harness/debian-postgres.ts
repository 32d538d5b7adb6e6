import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const HOME = "/usr/lib/postgresql";
const OLDEST = 15;

/**
 * Finds the programs of a whole Postgres (`pg_basebackup`, `pg_ctl`, `psql`), as Debian's packages install them; undefined when the
 * machine has none, so that tests that need them can be skipped, which is said.
 * @throws Error under CI, where nothing may be skipped.
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
