import { DrizzleQueryError } from "#sql";

/** What postgres.js and sockets say after which a connection has gone. */
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
 * SQLSTATEs of a server that is full, starting, stopping, read-only or still recovering (55000) after a failover, that ended a connection (57P01,
 * 57P05, 25P03), or that stopped a statement for the time it took (57014).
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

/** Whether a failure says that the connection to the database has gone, or that none could be made. */
export function isConnectionLost(error: unknown): boolean {
  return LOST_CODES.has(codeOf(error));
}

/** A statement that took too long may do so for its row; everything else of a database that is away concerns all rows. */
const TOO_LONG_STATE = "57014";

/** Whether a failure says nothing of the rows that were worked on, since the database is away. */
export function isNobodysFault(error: unknown): boolean {
  return isDatabaseAway(error) && codeOf(error) !== TOO_LONG_STATE;
}

/** Whether the database does not answer now, rather than refusing what it was asked: the same may succeed later. */
export function isDatabaseAway(error: unknown): boolean {
  const code = codeOf(error);
  return LOST_CODES.has(code) || AWAY_STATES.has(code) || /^08...$/.test(code);
}
