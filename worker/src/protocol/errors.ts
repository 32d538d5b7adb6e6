import { Problem } from "@towpath/contract";

/** The control plane cannot be reached, or answers that it cannot answer now. Trying again later is right. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  /** What `Retry-After` asks for, milliseconds. */
  readonly retryAfterMs: number | null;

  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/** The control plane answered something that this release does not understand. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** Whether the control plane speaks no protocol that this release does: one of the two has to be updated. */
export function isVersionRefusal(error: unknown): error is Problem {
  return error instanceof Problem && error.code === "protocol-unsupported";
}

/** How long the control plane, or a proxy before it, asks to wait before the next request, milliseconds; 0: it says nothing. */
export function askedPauseMs(error: unknown): number {
  return error instanceof Unreachable || error instanceof Problem ? (error.retryAfterMs ?? 0) : 0;
}

/** Whether the same request may succeed later without anybody doing anything. */
export function isPassing(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof Problem && error.retryable);
}
