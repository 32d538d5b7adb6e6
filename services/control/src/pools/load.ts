import type { Amounts, WorkerHold } from "@towpath/contract";
import type { Queryable } from "../kernel/index.ts";

/** How much work a pool has, or a queue of it. */
export interface PoolLoad {
  /** Attempts that wait for a worker. */
  readonly ready: number;
  /** Attempts that a worker holds. */
  readonly running: number;
}

/** What a worker is busy with. */
export interface WorkerLoad {
  readonly held: number;
  readonly taken: Amounts;
  /** Those that it has held for longest, at most HOLDS_SHOWN. */
  readonly holds: readonly WorkerHold[];
}

/**
 * Reads what pools and workers are busy with. Attempts belong to a slice to the right of this one, so the reader is
 * handed in where the application is composed. What is missing from an answer counts as idle.
 */
export interface LoadReader {
  ofPools(
    from: Queryable,
    args: { workspaceId: string; poolIds: readonly string[] },
  ): Promise<ReadonlyMap<string, PoolLoad>>;
  /** Of one pool, by the names of queues; those with no run are missing. */
  ofQueues(
    from: Queryable,
    args: { workspaceId: string; poolId: string },
  ): Promise<ReadonlyMap<string, PoolLoad>>;
  /** How many attempts each worker holds, what these need, and which they are. */
  ofWorkers(
    from: Queryable,
    args: { workspaceId: string; workerIds: readonly string[] },
  ): Promise<ReadonlyMap<string, WorkerLoad>>;
}
