import { z } from "zod";
import { AmountsByName } from "../compute/compute.ts";
import { DurationMs, Id, Instant, Name } from "../kernel/names.ts";

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

/** A part of a pool's line. What waits in a queue of higher priority goes first, whatever its own priority. */
export const Queue = z.object({
  name: Name,
  pool: Name,
  priority: z.int(),
  createdAt: Instant,
  ready: z.int().describe("Runs in it that wait for a worker."),
  running: z.int().describe("Runs in it that are claimed, running or cancelling."),
});
export type Queue = z.infer<typeof Queue>;

/** Makes a queue, or gives the one of this name another priority, for what waits in it already too. */
export const SetQueue = z.strictObject({
  queue: Name,
  priority: z.int().min(-100).max(100).default(0).describe("Runs in no queue wait as in one of priority 0."),
});
export type SetQueue = z.input<typeof SetQueue>;

/** Which queue of which pool. */
export const QueueParams = z.object({ name: Name, queue: Name });

/** Queues of one pool at most. */
export const QUEUES_MAX = 64;

/** What tells a store that a worker reaches apart from any other, and says nothing else of it. */
export const StoreMark = z.object({
  id: Id.describe("Random, written into the store by the first worker that reached it."),
  place: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .describe(
      "A hash of that id and the store's root: two workers with one id and two of these reach it at two places.",
    ),
});
export type StoreMark = z.infer<typeof StoreMark>;

/** The most attempts of a worker that one answer names. */
export const HOLDS_SHOWN = 20;

/** An attempt that a worker holds: what one of its places is taken by. */
export const WorkerHold = z.object({
  runId: Id,
  deployment: Name,
  attempt: z.int().describe("Which attempt of the run."),
  needs: AmountsByName.describe("What it needs of what the worker has."),
  since: Instant.describe("When the worker claimed it."),
  leaseUntil: Instant.nullable().describe(
    "Until when the worker has it without renewing its lease. Null: it has none yet.",
  ),
  usualMs: DurationMs.nullable().describe(
    "Half of the deployment's latest runs that completed took no longer. Null: none has.",
  ),
});
export type WorkerHold = z.infer<typeof WorkerHold>;

/** A worker as people see it. `online` is derived: it has polled within three of its intervals. */
export const Worker = z.object({
  id: Id,
  name: z.string(),
  pool: Name,
  version: z.string(),
  capacity: z.int(),
  held: z.int().describe("Attempts it holds."),
  holds: z.array(WorkerHold).describe(`The attempts that it has held for longest, at most ${HOLDS_SHOWN}.`),
  amounts: AmountsByName.describe("What it has for runs that need some. Empty: it has declared nothing."),
  taken: AmountsByName.describe("What the attempts that it holds need of that."),
  online: z.boolean(),
  draining: z.boolean(),
  paused: z
    .object({ until: Instant, reason: z.string() })
    .nullable()
    .describe("Takes nothing until then, because attempts failed before their code ran; the last reason."),
  stores: z.record(Name, StoreMark).describe("The stores that it reaches, by name, as it last told."),
  firstSeenAt: Instant,
  lastSeenAt: Instant,
});
export type Worker = z.infer<typeof Worker>;

/** How long after its last poll a worker still counts as online. */
export const workerOnlineMs: z.infer<typeof DurationMs> = 60_000;
