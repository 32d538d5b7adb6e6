import { closest, Problem, QUEUES_MAX, type Queue, uuidv7 } from "@towpath/contract";
import {
  type Deps,
  inTransaction,
  keepQuota,
  type Queryable,
  type Scope,
  type Tx,
  writeChanges,
} from "../kernel/index.ts";
import type { LoadReader, PoolLoad } from "./load.ts";
import { getPools, type PoolIdentity } from "./pools.ts";
import * as store from "./queue-store.ts";
import { queue } from "./table.ts";

type QueueDeps = Pick<Deps, "database" | "clock" | "wakes" | "config">;
type LoadDeps = QueueDeps & { readonly load: LoadReader };

/** Which queue of which pool a caller names. */
interface Named {
  readonly scope: Scope;
  /** The pool. */
  readonly name: string;
}

async function poolOf(from: Queryable, a: Named): Promise<PoolIdentity> {
  const [pool] = await getPools(from, { workspaceId: a.scope.workspaceId, names: [a.name] });
  if (pool === undefined) throw new Problem("internal", "A pool could not be read.");
  return pool;
}

function queueOf(row: store.QueueRow, a: { pool: string; load: ReadonlyMap<string, PoolLoad> }): Queue {
  const { ready = 0, running = 0 } = a.load.get(row.name) ?? {};
  const { name, priority, createdAt } = row;
  return { name, pool: a.pool, priority, createdAt: createdAt.toISOString(), ready, running };
}

/** Gives what waits in a queue already the place that the queue's new priority gives it. From the slice of runs. */
export type Reorder = (tx: Tx, a: { workspaceId: string; poolId: string; queue: string }) => Promise<void>;

/**
 * Makes a queue, or gives the one of this name another priority, for what waits in it already too.
 * @throws Problem `pool-not-found`; `bad-request` if the pool has too many; `quota-exceeded`.
 */
export async function setQueue(
  deps: LoadDeps,
  a: Named & { input: { queue: string; priority: number }; reorder: Reorder },
): Promise<Queue> {
  const { workspaceId } = a.scope;
  return inTransaction(deps, async (tx) => {
    const pool = await poolOf(tx, a);
    const there = await store.selectQueues(tx, { workspaceId, poolId: pool.id });
    if (there.length >= QUEUES_MAX && !there.some((row) => row.name === a.input.queue))
      throw new Problem("bad-request", `Pool "${pool.name}" has ${there.length} queues, which is the most.`);
    const { queue: name, priority } = a.input;
    const wanted = { id: uuidv7(deps.clock.nowMs()), workspaceId, poolId: pool.id, name, priority };
    const row = await store.upsertQueue(tx, deps.clock, wanted);
    if (row === null) throw new Problem("internal", "The queue was not stored.");
    if (row.id === wanted.id) await keepQuota(tx, deps, { quota: "queues", workspaceId, table: queue });
    const before = there.find((one) => one.name === name)?.priority ?? 0;
    if (before !== priority) await a.reorder(tx, { workspaceId, poolId: pool.id, queue: name });
    await writeChanges(tx, [{ workspaceId, kind: "pool", entityId: pool.id }]);
    return queueOf(row, { pool: pool.name, load: await deps.load.ofQueues(tx, wanted) });
  });
}

/**
 * Queues of a pool with what waits and goes on in each, the highest priority first.
 * @throws Problem `pool-not-found`.
 */
export async function listQueues(deps: LoadDeps, a: Named): Promise<{ items: Queue[]; next: null }> {
  const from = deps.database.reads;
  const pool = await poolOf(from, a);
  const which = { workspaceId: a.scope.workspaceId, poolId: pool.id };
  const rows = await store.selectQueues(from, which);
  // Most pools have no queue: then no run is counted.
  const load = rows.length === 0 ? new Map<string, PoolLoad>() : await deps.load.ofQueues(from, which);
  return { items: rows.map((row) => queueOf(row, { pool: pool.name, load })), next: null };
}

/**
 * Deletes a queue. What waits in it keeps its place.
 * @throws Problem `pool-not-found`.
 */
export async function deleteQueue(deps: QueueDeps, a: Named & { queue: string }): Promise<void> {
  const { workspaceId } = a.scope;
  await inTransaction(deps, async (tx) => {
    const pool = await poolOf(tx, a);
    await store.deleteQueueRow(tx, { workspaceId, poolId: pool.id, name: a.queue });
    await writeChanges(tx, [{ workspaceId, kind: "pool", entityId: pool.id }]);
  });
}

/**
 * Makes sure that a pool has a queue. For slices that refer to queues.
 * @throws Problem `queue-not-found`, with the name that was probably meant.
 */
export async function checkQueue(
  from: Queryable,
  a: { workspaceId: string; pool: PoolIdentity; queue: string },
): Promise<void> {
  const { workspaceId, pool, queue } = a;
  const names = (await store.selectQueues(from, { workspaceId, poolId: pool.id })).map((row) => row.name);
  if (names.includes(queue)) return;
  const near = closest(queue, names);
  const suggestion =
    near === null ? `make it with \`towpath queue set ${pool.name} ${queue}\`` : `did you mean "${near}"?`;
  throw new Problem("queue-not-found", `Pool "${pool.name}" has no queue "${queue}"; ${suggestion}`, {
    faults: [{ path: "queue", message: `no queue "${queue}"`, suggestion }],
  });
}
