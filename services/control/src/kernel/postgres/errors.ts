/** Why an embedded or external Postgres could not be used. */
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
 * Postgres cannot be started or used as asked.
 * The message is a sentence for the person at the terminal and says what to do next; `code` is for programs.
 */
export class PostgresStartError extends Error {
  override readonly name = "PostgresStartError";
  readonly code: PostgresStartErrorCode;

  constructor(code: PostgresStartErrorCode, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
