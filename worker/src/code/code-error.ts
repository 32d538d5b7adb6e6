/**
 * All failures of fetching code. `refused`: the code must not run, and another try changes nothing. `unavailable`: the
 * code could not be fetched now, and `retryable` says whether the same request may succeed later without any change.
 */
export const CODE_ERRORS = {
  "bad-ref": {
    kind: "refused",
    retryable: false,
    nextStep: "Deploy again, so that the spec names code by its full digest or commit.",
  },
  "bad-source": {
    kind: "refused",
    retryable: false,
    nextStep: "Correct this code registry in the worker's configuration.",
  },
  "bad-manifest": {
    kind: "refused",
    retryable: false,
    nextStep: "Deploy again with `towpath deploy`, which writes a manifest that workers accept.",
  },
  "digest-mismatch": {
    kind: "refused",
    retryable: false,
    nextStep: "Do not run this code. Find out who changed the registry's content, then deploy again.",
  },
  "unsafe-archive": {
    kind: "refused",
    retryable: false,
    nextStep: "Remove the named entry from the project and deploy again.",
  },
  "too-large": {
    kind: "refused",
    retryable: false,
    nextStep: "Leave data out of the deployed code, or raise the worker's limit for code.",
  },
  "registry-unreachable": {
    kind: "unavailable",
    retryable: true,
    nextStep: "Check that the code registry is up and that this worker can reach it.",
  },
  "bad-answer": {
    kind: "unavailable",
    retryable: true,
    nextStep: "Check this code registry's address in the worker's configuration, and what answers there.",
  },
  "not-found": {
    kind: "unavailable",
    retryable: true,
    nextStep:
      "Check that the code was pushed to this registry, and that the worker's credentials may read it.",
  },
  unauthorized: {
    kind: "unavailable",
    retryable: false,
    nextStep: "Correct the credentials of this code registry in the worker's configuration.",
  },
  "no-permission": {
    kind: "unavailable",
    retryable: false,
    nextStep: "Let the worker's user read this folder and enter each folder above it, or move the registry.",
  },
  timeout: {
    kind: "unavailable",
    retryable: true,
    nextStep: "Check the connection to the code registry, or raise the worker's time limit for code.",
  },
  "cache-unwritable": {
    kind: "unavailable",
    retryable: true,
    nextStep: "Free space in the worker's code cache, or check that it is writable.",
  },
  "ssh-missing": {
    kind: "unavailable",
    retryable: false,
    nextStep: "Install OpenSSH's client on the worker.",
  },
  "git-missing": {
    kind: "unavailable",
    retryable: false,
    nextStep: "Install git 2.31 or newer on the worker.",
  },
} as const satisfies Record<
  string,
  { kind: "refused" | "unavailable"; retryable: boolean; nextStep: string }
>;

/** A key of `CODE_ERRORS`. */
export type CodeErrorCode = keyof typeof CODE_ERRORS;

/** An expected failure to fetch code. The message ends with the next step and never has a credential. */
export class CodeError extends Error {
  readonly code: CodeErrorCode;
  readonly kind: "refused" | "unavailable";
  readonly retryable: boolean;
  /** The message without the next step. */
  readonly what: string;
  /**
   * Only for the worker's own log, because the message may leave: the output of git, cut and without
   * credentials, or an address in the worker's network.
   */
  readonly output: string | undefined;

  constructor(code: CodeErrorCode, what: string, details: { cause?: unknown; output?: string } = {}) {
    super(`${what} ${CODE_ERRORS[code].nextStep}`, { cause: details.cause });
    this.name = "CodeError";
    this.code = code;
    this.what = what;
    this.kind = CODE_ERRORS[code].kind;
    this.retryable = CODE_ERRORS[code].retryable;
    this.output = details.output;
  }
}

/** The system's code of an error (`ENOENT`…); undefined for any other error. */
export function systemCode(error: unknown): string | undefined {
  const isSystem = error instanceof Error && "syscall" in error && "code" in error;
  return isSystem && typeof error.code === "string" ? error.code : undefined;
}
