import type { Amounts, WorkerHold } from "@towpath/contract";
import type { Queryable } from "../kernel/index.ts";

/** The load of a pool, or of one of its queues. */
export interface PoolLoad {
  /** Attempts that wait for a worker. */
  readonly ready: number;
  /** Attempts that a worker holds. */
  readonly running: number;
}

/** The load of a worker. */
export interface WorkerLoad {
  readonly held: number;
  readonly taken: Amounts;
  /** The attempts it has held longest, at most HOLDS_SHOWN. */
  readonly holds: readonly WorkerHold[];
}

/**
 * Reads the load of pools and workers. Attempts belong to a slice to the right, so the composition root passes the
 * reader in. A pool or worker that is missing from an answer is idle.
 */
export interface LoadReader {
  ofPools(
    from: Queryable,
    args: { workspaceId: string; poolIds: readonly string[] },
  ): Promise<ReadonlyMap<string, PoolLoad>>;
  /** The load of one pool by queue. Queues without runs are missing. */
  ofQueues(
    from: Queryable,
    args: { workspaceId: string; poolId: string },
  ): Promise<ReadonlyMap<string, PoolLoad>>;
  /** For each worker: how many attempts it holds, what they need, and which they are. */
  ofWorkers(
    from: Queryable,
    args: { workspaceId: string; workerIds: readonly string[] },
  ): Promise<ReadonlyMap<string, WorkerLoad>>;
}
