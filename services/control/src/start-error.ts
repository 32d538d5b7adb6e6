/** Why the control plane could not start, beside what the embedded database says of itself. */
export type StartErrorCode =
  | "port-taken"
  | "port-not-allowed"
  | "address-not-available"
  | "directory-not-writable"
  | "database-unreachable"
  | "database-refused"
  | "pooler-without-direct-url"
  | "direct-url-is-pooled"
  | "different-databases"
  | "read-url-is-no-standby"
  | "too-few-connections"
  | "migration-failed";

/**
 * The control plane cannot start as it is set up. The message is a sentence for the person at the terminal and says
 * what to do next; `code` is for programs.
 */
export class StartError extends Error {
  override readonly name = "StartError";
  readonly code: StartErrorCode;

  constructor(code: StartErrorCode, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? {} : { cause });
    this.code = code;
  }
}
