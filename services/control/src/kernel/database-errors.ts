import { DrizzleQueryError } from "#sql";

/** Codes of postgres.js and of sockets for a lost connection. */
const LOST_CODES = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECT_TIMEOUT",
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOENT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
]);

/**
 * SQLSTATEs of a server that cannot serve now. It is full, starting, stopping, read-only or recovering (55000). It
 * ended the connection (57P01, 57P05, 25P03) or cancelled a slow statement (57014).
 */
const AWAY_STATES = new Set([
  "25006",
  "25P03",
  "53300",
  "55000",
  "57014",
  "57P01",
  "57P02",
  "57P03",
  "57P05",
]);

function codeOf(error: unknown): string {
  const inner = error instanceof DrizzleQueryError ? error.cause : error;
  return inner instanceof Error && "code" in inner && typeof inner.code === "string" ? inner.code : "";
}

/** Whether a failure says that the connection was lost or could not be made. */
export function isConnectionLost(error: unknown): boolean {
  return LOST_CODES.has(codeOf(error));
}

/** A slow statement may be the fault of its row. Every other such failure affects all rows. */
const TOO_LONG_STATE = "57014";

/** Whether a failure says nothing about the rows, because the database is away. */
export function isDatabaseFault(error: unknown): boolean {
  return isDatabaseAway(error) && codeOf(error) !== TOO_LONG_STATE;
}

/** Whether the database is away, so that the same statement may succeed later. */
export function isDatabaseAway(error: unknown): boolean {
  const code = codeOf(error);
  return LOST_CODES.has(code) || AWAY_STATES.has(code) || /^08...$/.test(code);
}

/** The SQLSTATE of a failure from the database, wrapped by drizzle or not. Null for other failures. */
export function sqlState(error: unknown): string | null {
  const inner = error instanceof DrizzleQueryError ? error.cause : error;
  if (!(inner instanceof Error) || !("code" in inner) || typeof inner.code !== "string") return null;
  return /^[0-9A-Z]{5}$/.test(inner.code) ? inner.code : null;
}
