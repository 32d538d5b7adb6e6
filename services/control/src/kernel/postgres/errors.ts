/** Why an embedded or external Postgres cannot be used. */
export type PostgresStartErrorCode =
  | "unsupported-platform"
  | "directory-not-writable"
  | "directory-in-use"
  | "no-unprivileged-user"
  | "port-taken"
  | "initialisation-failed"
  | "start-failed"
  | "start-timed-out"
  | "server-too-old";

/**
 * Postgres cannot be started or used as configured. The message is for the person at the terminal and names the next
 * step; `code` is for programs.
 */
export class PostgresStartError extends Error {
  override readonly name = "PostgresStartError";
  readonly code: PostgresStartErrorCode;

  constructor(code: PostgresStartErrorCode, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
