/** The server could not be reached, or did not answer in time. Whether it acted on the request is unknown. */
export class ConnectionFailure extends Error {
  override readonly name = "ConnectionFailure";
  /** Address of the server, without path. */
  readonly url: string;
  readonly timedOut: boolean;

  constructor(url: string, reason: { timedOut: boolean; cause: unknown }) {
    const what = reason.timedOut ? "did not answer in time" : "cannot be reached";
    super(`${url} ${what}${describeCause(reason.cause)}`, { cause: reason.cause });
    this.url = url;
    this.timedOut = reason.timedOut;
  }

  /** The system's code of the deepest cause, such as `ECONNREFUSED` or `SELF_SIGNED_CERT_IN_CHAIN`, or null when there is none. */
  get systemCode(): string | null {
    return systemCodeOf(this.cause);
  }
}

/** The answer is not from a control plane of this release: a proxy's page, another program, another release. */
export class UnexpectedAnswer extends Error {
  override readonly name = "UnexpectedAnswer";
  readonly url: string;
  readonly status: number;
  /** The wait that `Retry-After` asks for, milliseconds. Null: the answer has no such header. */
  readonly retryAfterMs: number | null;

  constructor(
    url: string,
    answer: { status: number; reason: string; retryAfterMs?: number | null; cause?: unknown },
  ) {
    super(`${url} answered ${answer.status}: ${answer.reason}`, { cause: answer.cause });
    this.url = url;
    this.status = answer.status;
    this.retryAfterMs = answer.retryAfterMs ?? null;
  }
}

/** A stream broke several times in a row without an event between. */
export class StreamInterrupted extends Error {
  override readonly name = "StreamInterrupted";
  /** The id of the last event. A later stream can resume after it. Null: no event arrived. */
  readonly lastEventId: string | null;

  constructor(lastEventId: string | null, cause: unknown) {
    super("the stream of events broke and could not be restored", { cause });
    this.lastEventId = lastEventId;
  }
}

/** The most causes that are followed. */
const CAUSES_MAX = 5;

function systemCodeOf(cause: unknown): string | null {
  let current = cause;
  for (let depth = 0; depth < CAUSES_MAX && current instanceof Error; depth++) {
    if ("code" in current && typeof current.code === "string" && /^[A-Z][A-Z0-9_]+$/.test(current.code))
      return current.code;
    current = current.cause;
  }
  return null;
}

function describeCause(cause: unknown): string {
  const code = systemCodeOf(cause);
  return code === null ? "" : ` (${code})`;
}
