import { z } from "zod";
import { type DurationMs, Id, Instant, Name } from "../kernel/names.ts";

/** How a pool's workers run code. */
export const POOL_TYPES = ["process"] as const;

/** A pool's type on the wire. */
export const PoolType = z.enum(POOL_TYPES);

/** A work pool: where work runs. */
export const Pool = z.object({
  id: Id,
  name: Name,
  type: PoolType,
  createdAt: Instant,
  ready: z.int().describe("Attempts that wait for a worker."),
  running: z.int().describe("Attempts claimed, running or cancelling."),
  workersOnline: z.int(),
  workersPaused: z.int().describe("Of those online, how many take nothing for a while: starts failed there."),
});
export type Pool = z.infer<typeof Pool>;

/** What is needed to make a pool. Repeating it with the same settings answers the same pool. */
export const CreatePool = z.object({ name: Name, type: PoolType.default("process") });
export type CreatePool = z.input<typeof CreatePool>;

/** A worker as people see it. `online` is derived: it has polled within three of its intervals. */
export const Worker = z.object({
  id: Id,
  name: z.string(),
  pool: Name,
  version: z.string(),
  capacity: z.int(),
  held: z.int().describe("Attempts it holds."),
  online: z.boolean(),
  draining: z.boolean(),
  paused: z
    .object({ until: Instant, reason: z.string() })
    .nullable()
    .describe("Takes nothing until then, because attempts failed before their code ran; the last reason."),
  firstSeenAt: Instant,
  lastSeenAt: Instant,
});
export type Worker = z.infer<typeof Worker>;

/** How long after its last poll a worker still counts as online. */
export const workerOnlineMs: z.infer<typeof DurationMs> = 60_000;
