import { LIMITS, Problem, type Route } from "@towpath/contract";
import type { Context } from "hono";
import { headerOf } from "./node-request.ts";
import { NoTurn, Turns } from "./turns.ts";

/** A body beyond this is large, bytes: reading and checking it keeps the process busy for a while. */
const LARGE_BYTES = 1024 * 1024;
/** Large requests of one workspace that are served at once, and that wait for their turn. */
const PLACES = { atOnce: 4, waitingMost: 64 } as const;
const RETRY_MS = 1_000;
/** How long a request waits for its turn, milliseconds. */
const WAIT_MS = 5_000;
/** How long a large body may take to arrive, milliseconds: it holds a turn meanwhile. More at this rate for a very large one. */
const READ = { leastMs: 15_000, bytesPerMs: 512 } as const;

/** The most bytes that a request's body may turn out to have: what it announces, else what its route takes. */
export function bytesOf(c: Context, { body, bodyBytes = LIMITS.bodyBytes }: Route): number {
  if (body === undefined) return 0;
  const announced = Number(headerOf(c, "content-length") ?? Number.NaN);
  return announced >= 0 && announced <= bodyBytes ? announced : bodyBytes;
}

/** What a request counts for against its limits: one, or one for each MiB that its body has begun. */
export function costOf(c: Context, route: Route): number {
  return Math.max(1, Math.ceil(bytesOf(c, route) / LARGE_BYTES));
}

/** How long a body of so many bytes may take to arrive, milliseconds. Null: as long as the connection may. */
export function readMsOf(bytes: number): number | null {
  return bytes <= LARGE_BYTES ? null : Math.max(READ.leastMs, Math.ceil(bytes / READ.bytesPerMs));
}

/** A large request. */
interface LargeRequest {
  readonly workspaceId: string;
  readonly bytes: number;
  /** Fires when the caller has gone. */
  readonly left: () => AbortSignal;
}

/** Serves large requests of one workspace a few at a time, so that they cannot take all of the process. */
export interface LargeBodies {
  /**
   * Serves a request, in its turn if it is large.
   * @throws Problem `too-many-requests` if too many of the workspace wait already, or its turn does not come soon; what
   * `serve` throws.
   */
  during<T>(args: LargeRequest, serve: () => Promise<T>): Promise<T>;
}

function busy(what: string): Problem {
  return new Problem("too-many-requests", `${what} Send fewer at the same time, or smaller ones.`, {
    retryAfterMs: RETRY_MS,
  });
}

/** Makes the turns of one process. @param args.waitMs How long a request waits for its turn. */
export function openLargeBodies({ waitMs = WAIT_MS }: { waitMs?: number } = {}): LargeBodies {
  const known = new Map<string, Turns>();
  return {
    async during({ workspaceId, bytes, left }, serve) {
      if (bytes <= LARGE_BYTES) return serve();
      const turns = known.get(workspaceId) ?? new Turns(PLACES);
      if (turns.isFull)
        throw busy(
          `${PLACES.waitingMost} requests of this workspace with bodies of more than 1 MiB wait already.`,
        );
      known.set(workspaceId, turns);
      try {
        return await turns.take(serve, () => AbortSignal.any([left(), AbortSignal.timeout(waitMs)]));
      } catch (error) {
        if (error instanceof NoTurn)
          throw busy("Other requests of this workspace with bodies of more than 1 MiB take too long.");
        throw error;
      } finally {
        if (turns.isIdle) known.delete(workspaceId);
      }
    },
  };
}
