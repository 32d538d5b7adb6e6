import { z } from "zod";
import { AmountsByName } from "../compute/compute.ts";
import { DeploymentName, DurationMs, Id, Instant, Name } from "../kernel/names.ts";

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
  workersPaused: z.int().describe("Online workers that are paused because starts failed there."),
});
export type Pool = z.infer<typeof Pool>;

/** Creates a pool. Repeating it with the same settings returns the same pool. */
export const CreatePool = z.object({ name: Name, type: PoolType.default("process") });
export type CreatePool = z.input<typeof CreatePool>;

/** A queue of a pool. Runs in a queue of higher priority start first, whatever the runs' own priority. */
export const Queue = z.object({
  name: Name,
  pool: Name,
  priority: z.int(),
  createdAt: Instant,
  ready: z.int().describe("Runs in it that wait for a worker."),
  running: z.int().describe("Runs in it that are claimed, running or cancelling."),
});
export type Queue = z.infer<typeof Queue>;

/** Creates a queue or changes its priority, for runs that already wait in it, too. */
export const SetQueue = z.strictObject({
  queue: Name,
  priority: z.int().min(-100).max(100).default(0).describe("Runs without a queue have the priority 0."),
  ifPriority: z
    .int()
    .nullable()
    .optional()
    .describe(
      "Changes the queue only if it has this priority now. Null: only creates it. Omitted: always. A repeated request changes nothing.",
    ),
});
export type SetQueue = z.input<typeof SetQueue>;

/** Which queue of which pool. */
export const QueueParams = z.object({ name: Name, queue: Name });

/** Queues of one pool at most. */
export const QUEUES_MAX = 64;

/** Identifies a store that a worker uses, and reveals nothing else. */
export const StoreMark = z.object({
  id: Id.describe("A random id that the first worker wrote into the store."),
  place: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .describe(
      "A hash of that id and the store's root. Workers with the same id and different hashes use different paths.",
    ),
});
export type StoreMark = z.infer<typeof StoreMark>;

/** The most secrets or code registries that a worker reports. */
export const REPORTED_NAMES_MAX = 1_000;

/** A secret that has a value on a worker: its name in the worker's configuration, or its variable. Never the value. */
export const ReportedSecret = z.string().regex(/^([a-z0-9][a-z0-9_-]{0,62}|TOWPATH_SECRET_[A-Z0-9_]{1,63})$/);

/** The most attempts of a worker in one answer. */
export const HOLDS_SHOWN = 20;

/** What follows for an attempt if it is lost. `release`: it has not started, so another worker gets it. */
export const IF_LOST = ["retry", "crash", "cancel", "release"] as const;

/** An attempt that takes one of a worker's slots. */
export const WorkerHold = z.object({
  runId: Id,
  deployment: DeploymentName,
  attempt: z.int().describe("The ordinal of the attempt."),
  needs: AmountsByName.describe("The compute that it needs."),
  since: Instant.describe("When the worker claimed it."),
  leaseUntil: Instant.nullable().describe("When its lease ends without renewal. Null: it has no lease yet."),
  usualMs: DurationMs.nullable().describe(
    "The median working time of the deployment's latest completed runs: the sum of their attempts, without the time between attempts. Null: no run has completed.",
  ),
  ifLost: z
    .enum(IF_LOST)
    .nullable()
    .default(null)
    .describe(
      "If the attempt is lost: the run is retried, it crashes, or it is cancelled. `release`: the attempt has not started, so another worker gets it. Null: an earlier release does not say.",
    ),
});
export type WorkerHold = z.infer<typeof WorkerHold>;

/**
 * The users of a worker's runs. `none`: they run as the worker's user, and can read what it can unless they have namespaces of
 * their own. `users`: each attempt has a user of its own.
 */
export const WALLS = ["none", "users"] as const;
export const Wall = z.enum(WALLS);
export type Wall = z.infer<typeof Wall>;

/** The declaration that a worker's machine is gone. */
export const WorkerGone = z.object({
  at: Instant,
  by: z.string().describe("The person or key that declared it, or the worker that replaces this one."),
});
export type WorkerGone = z.infer<typeof WorkerGone>;

/** A worker as people see it. `online` is derived: it has polled within three of its intervals, has not stopped, and its machine is not declared gone. */
export const Worker = z.object({
  id: Id,
  name: z.string(),
  pool: Name,
  version: z.string(),
  capacity: z.int(),
  held: z.int().describe("The number of its attempts."),
  holds: z.array(WorkerHold).describe(`Its oldest attempts, at most ${HOLDS_SHOWN}.`),
  amounts: AmountsByName.describe("Its compute. Empty: it has declared none."),
  taken: AmountsByName.describe("The compute that its attempts need."),
  online: z.boolean(),
  draining: z.boolean(),
  paused: z
    .object({ until: Instant, reason: z.string() })
    .nullable()
    .describe(
      "It takes no work until then, because attempts failed before their code ran. With the last reason.",
    ),
  gone: WorkerGone.nullable()
    .default(null)
    .describe(
      "Its machine was declared gone. Its attempts are lost when their leases have ended. Null: nobody declared it, or the worker has polled since.",
    ),
  stoppedAt: Instant.nullable()
    .default(null)
    .describe(
      "When it stopped after a signal, with no attempt left. Null: it has not, it has started again, or it is of an earlier release.",
    ),
  stores: z.record(Name, StoreMark).describe("The stores that it uses, by name."),
  secrets: z
    .array(z.string())
    .nullable()
    .default(null)
    .describe(
      "The secrets that have a value there: names of its configuration, and variables `TOWPATH_SECRET_…`. Null: an earlier release does not report them.",
    ),
  registries: z
    .array(z.string())
    .nullable()
    .default(null)
    .describe("The names of its code registries. Null: an earlier release does not report them."),
  wall: Wall.nullable()
    .default(null)
    .describe(
      "The users of its runs. `none`: they run as the worker's user, and are one trust domain unless they have `namespaces`. Null: an earlier release does not report it.",
    ),
  namespaces: z
    .boolean()
    .nullable()
    .default(null)
    .describe(
      "Whether each of its runs has namespaces of its own: it sees only its own processes and files. Null: an earlier release does not report it.",
    ),
  firstSeenAt: Instant,
  lastSeenAt: Instant,
});
export type Worker = z.infer<typeof Worker>;

/** Which worker of which pool. */
export const WorkerParams = z.object({ name: Name, workerId: Id });

/** How long after its last poll a worker still counts as online. */
export const workerOnlineMs: z.infer<typeof DurationMs> = 60_000;
