import { DrizzleQueryError } from "#sql";

/** The SQLSTATE of a failure that came from the database, drizzle's wrapping or not, else null. */
export function sqlState(error: unknown): string | null {
  const inner = error instanceof DrizzleQueryError ? error.cause : error;
  if (!(inner instanceof Error) || !("code" in inner) || typeof inner.code !== "string") return null;
  return /^[0-9A-Z]{5}$/.test(inner.code) ? inner.code : null;
}
