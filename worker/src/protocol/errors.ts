import { Problem, type ROUTES } from "@towpath/contract";

/** The control plane cannot be reached, or cannot answer now. A later try may succeed. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  /** The pause that `Retry-After` asks for, milliseconds. */
  readonly retryAfterMs: number | null;

  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/** This release does not understand the control plane's answer. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  /** The operation that it answered. A call may first have had to open a session. */
  readonly verb: keyof typeof ROUTES;

  constructor(message: string, verb: keyof typeof ROUTES) {
    super(message);
    this.verb = verb;
  }
}

/** Whether the control plane and this release have no protocol in common. One of them must be updated. */
export function isVersionRefusal(error: unknown): error is Problem {
  return error instanceof Problem && error.code === "protocol-unsupported";
}

/** How long the control plane, or a proxy before it, asks to wait, milliseconds. 0: it does not ask. */
export function askedPauseMs(error: unknown): number {
  return error instanceof Unreachable || error instanceof Problem ? (error.retryAfterMs ?? 0) : 0;
}

/** Whether the same request may succeed later without any change. */
export function isPassing(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof Problem && error.retryable);
}
