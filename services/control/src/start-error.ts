/** Why the control plane could not start. The embedded database has codes of its own. */
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
 * The control plane cannot start with its configuration. The message is for the person at the terminal and names the
 * next step; `code` is for programs.
 */
export class StartError extends Error {
  override readonly name = "StartError";
  readonly code: StartErrorCode;

  constructor(code: StartErrorCode, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? {} : { cause });
    this.code = code;
  }
}
