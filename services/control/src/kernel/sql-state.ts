import { DrizzleQueryError } from "#sql";

/** The SQLSTATE of a failure from the database, wrapped by drizzle or not. Null for other failures. */
export function sqlState(error: unknown): string | null {
  const inner = error instanceof DrizzleQueryError ? error.cause : error;
  if (!(inner instanceof Error) || !("code" in inner) || typeof inner.code !== "string") return null;
  return /^[0-9A-Z]{5}$/.test(inner.code) ? inner.code : null;
}
