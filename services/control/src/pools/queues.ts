import { closest, Problem, QUEUES_MAX, type Queue, type SetQueue, uuidv7 } from "@towpath/contract";
import type { z } from "zod";
import {
  checkEdit,
  type Deps,
  inTransaction,
  keepQuota,
  type Queryable,
  type Scope,
  type Tx,
  writeChanges,
} from "../kernel/index.ts";
import { getPools, lockPool, type PoolIdentity } from "./pools.ts";
import * as store from "./queue-store.ts";
import { queue } from "./table.ts";

type QueueDeps = Pick<Deps, "database" | "clock" | "wakes" | "config">;

/** A queue without its runs, which are in a slice to the right. */
export type QueueFacts = Omit<Queue, "ready" | "running">;

/** The pool that a caller names. */
interface Named {
  readonly scope: Scope;
  /** The pool. */
  readonly name: string;
}

async function poolOf(from: Queryable, args: Named): Promise<PoolIdentity> {
  const [pool] = await getPools(from, { workspaceId: args.scope.workspaceId, names: [args.name] });
  if (pool === undefined) throw new Problem("internal", "A pool could not be read.");
  return pool;
}

function queueOf({ name, priority, createdAt }: store.QueueRow, pool: PoolIdentity): QueueFacts {
  return { name, pool: pool.name, priority, createdAt: createdAt.toISOString() };
}

/**
 * Creates a queue, or changes the priority of the one with this name. The caller moves the runs that wait in it if the priority
 * has changed.
 * @throws Problem `pool-not-found`; `bad-request` if the pool has too many; `edit-conflict`; `quota-exceeded`.
 */
export async function setQueue(
  tx: Tx,
  deps: QueueDeps,
  args: Named & { input: z.output<typeof SetQueue> },
): Promise<{ queue: QueueFacts; poolId: string; isMoved: boolean }> {
  const { workspaceId } = args.scope;
  const pool = await lockPool(tx, { workspaceId, name: args.name });
  const there = await store.selectQueues(tx, { workspaceId, poolId: pool.id });
  const { queue: name, priority, ifPriority } = args.input;
  const before = there.find((one) => one.name === name);
  const isToWrite = checkEdit({
    what: `Queue "${name}" of pool "${pool.name}"`,
    path: "queue",
    read: ifPriority,
    stored: before?.priority ?? null,
    isSame: before?.priority === priority,
  });
  if (!isToWrite && before) return { queue: queueOf(before, pool), poolId: pool.id, isMoved: false };
  if (there.length >= QUEUES_MAX && before === undefined)
    throw new Problem(
      "bad-request",
      `Pool "${pool.name}" already has ${there.length} queues, which is the maximum. Remove one first.`,
    );
  const wanted = { id: uuidv7(deps.clock.nowMs()), workspaceId, poolId: pool.id, name, priority };
  const row = await store.upsertQueue(tx, deps.clock, wanted);
  if (row === null) throw new Problem("internal", "The queue was not stored.");
  if (row.id === wanted.id) await keepQuota(tx, deps, { quota: "queues", workspaceId, table: queue });
  await writeChanges(tx, [{ workspaceId, kind: "pool", entityId: pool.id }]);
  return { queue: queueOf(row, pool), poolId: pool.id, isMoved: (before?.priority ?? 0) !== priority };
}

/**
 * The queues of a pool, highest priority first.
 * @throws Problem `pool-not-found`.
 */
export async function listQueues(
  deps: QueueDeps,
  args: Named,
): Promise<{ poolId: string; queues: QueueFacts[] }> {
  const from = deps.database.reads;
  const pool = await poolOf(from, args);
  const which = { workspaceId: args.scope.workspaceId, poolId: pool.id };
  const rows = await store.selectQueues(from, which);
  return { poolId: pool.id, queues: rows.map((row) => queueOf(row, pool)) };
}

/**
 * Deletes a queue. Runs that wait in it keep their positions.
 * @throws Problem `pool-not-found`.
 */
export async function deleteQueue(deps: QueueDeps, args: Named & { queue: string }): Promise<void> {
  const { workspaceId } = args.scope;
  await inTransaction(deps, async (tx) => {
    const pool = await poolOf(tx, args);
    await store.deleteQueueRow(tx, { workspaceId, poolId: pool.id, name: args.queue });
    await writeChanges(tx, [{ workspaceId, kind: "pool", entityId: pool.id }]);
  });
}

/**
 * Checks that a pool has a queue.
 * @throws Problem `queue-not-found`, with the most similar name.
 */
export async function checkQueue(
  from: Queryable,
  args: { workspaceId: string; pool: PoolIdentity; queue: string },
): Promise<void> {
  const { workspaceId, pool, queue } = args;
  const names = (await store.selectQueues(from, { workspaceId, poolId: pool.id })).map((row) => row.name);
  if (names.includes(queue)) return;
  const near = closest(queue, names);
  const suggestion =
    near === null ? `create it with \`towpath queue set ${pool.name} ${queue}\`` : `did you mean "${near}"?`;
  throw new Problem("queue-not-found", `Pool "${pool.name}" has no queue "${queue}"; ${suggestion}`, {
    faults: [{ path: "queue", message: `no queue "${queue}"`, suggestion }],
  });
}
