import { LIMITS, Problem, type Route } from "@towpath/contract";
import type { Context } from "hono";
import { headerOf } from "./beneath.ts";
import { Turns } from "./turns.ts";

/** A body beyond this is large, bytes: reading and checking it keeps the process busy for a while. */
const LARGE_BYTES = 1024 * 1024;
/** Large requests of one workspace that are served at once, and that wait for their turn. */
const PLACES = { atOnce: 4, waitingMost: 64 } as const;
const RETRY_MS = 1_000;

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

/** Serves large requests of one workspace a few at a time, so that they cannot take all of the process. */
export interface LargeBodies {
  /**
   * Serves a request, in its turn if it is large.
   * @throws Problem `too-many-requests` if too many of the workspace wait already; what `serve` throws.
   */
  during<T>(a: { workspaceId: string; bytes: number }, serve: () => Promise<T>): Promise<T>;
}

/** Makes the turns of one process. */
export function openLargeBodies(): LargeBodies {
  const known = new Map<string, Turns>();
  return {
    async during({ workspaceId, bytes }, serve) {
      if (bytes <= LARGE_BYTES) return serve();
      const turns = known.get(workspaceId) ?? new Turns(PLACES);
      if (turns.isFull)
        throw new Problem(
          "too-many-requests",
          `${PLACES.waitingMost} requests of this workspace with bodies of more than 1 MiB wait already. Send fewer at the same time, or smaller ones.`,
          { retryAfterMs: RETRY_MS },
        );
      known.set(workspaceId, turns);
      try {
        return await turns.take(serve);
      } finally {
        if (turns.isIdle) known.delete(workspaceId);
      }
    },
  };
}
