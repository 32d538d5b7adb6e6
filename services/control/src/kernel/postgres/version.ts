import { PostgresStartError } from "./errors.ts";

/** The oldest major version of Postgres for an external database. */
const OLDEST_SERVER_MAJOR = 15;

/**
 * Refuses an external database that is older than OLDEST_SERVER_MAJOR.
 * @param readVersion answers `show server_version_num`, e.g. `"150004"`.
 * @returns the major version, e.g. `18`.
 * @throws PostgresStartError `server-too-old`.
 */
export async function checkServerVersion(readVersion: () => Promise<string>): Promise<number> {
  const reported = await readVersion();
  const major = Math.floor(Number(reported) / 10_000);
  if (Number.isInteger(major) && major >= OLDEST_SERVER_MAJOR) return major;
  const found = Number.isInteger(major) && major > 0 ? `Postgres ${major}` : `version "${reported}"`;
  throw new PostgresStartError(
    "server-too-old",
    `The database at DATABASE_URL is ${found}. Towpath needs Postgres ${OLDEST_SERVER_MAJOR} or later. ` +
      "Upgrade that server, or unset DATABASE_URL to use the embedded database.",
  );
}
