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

async function poolOf(from: Queryable, args: Named): Promise<PoolIdentity> {
  const [pool] = await getPools(from, { workspaceId: args.scope.workspaceId, names: [args.name] });
  if (pool === undefined) throw new Problem("internal", "A pool could not be read.");
  return pool;
}

function queueOf(row: store.QueueRow, args: { pool: string; load: ReadonlyMap<string, PoolLoad> }): Queue {
  const { ready = 0, running = 0 } = args.load.get(row.name) ?? {};
  const { name, priority, createdAt } = row;
  return { name, pool: args.pool, priority, createdAt: createdAt.toISOString(), ready, running };
}

/** Gives what waits in a queue already the place that the queue's new priority gives it. From the slice of runs. */
export type Reorder = (tx: Tx, args: { workspaceId: string; poolId: string; queue: string }) => Promise<void>;

/**
 * Makes a queue, or gives the one of this name another priority, for what waits in it already too.
 * @throws Problem `pool-not-found`; `bad-request` if the pool has too many; `quota-exceeded`.
 */
export async function setQueue(
  deps: LoadDeps,
  args: Named & { input: { queue: string; priority: number }; reorder: Reorder },
): Promise<Queue> {
  const { workspaceId } = args.scope;
  return inTransaction(deps, async (tx) => {
    const pool = await poolOf(tx, args);
    const there = await store.selectQueues(tx, { workspaceId, poolId: pool.id });
    if (there.length >= QUEUES_MAX && !there.some((row) => row.name === args.input.queue))
      throw new Problem("bad-request", `Pool "${pool.name}" has ${there.length} queues, which is the most.`);
    const { queue: name, priority } = args.input;
    const wanted = { id: uuidv7(deps.clock.nowMs()), workspaceId, poolId: pool.id, name, priority };
    const row = await store.upsertQueue(tx, deps.clock, wanted);
    if (row === null) throw new Problem("internal", "The queue was not stored.");
    if (row.id === wanted.id) await keepQuota(tx, deps, { quota: "queues", workspaceId, table: queue });
    const before = there.find((one) => one.name === name)?.priority ?? 0;
    if (before !== priority) await args.reorder(tx, { workspaceId, poolId: pool.id, queue: name });
    await writeChanges(tx, [{ workspaceId, kind: "pool", entityId: pool.id }]);
    return queueOf(row, { pool: pool.name, load: await deps.load.ofQueues(tx, wanted) });
  });
}

/**
 * Queues of a pool with what waits and goes on in each, the highest priority first.
 * @throws Problem `pool-not-found`.
 */
export async function listQueues(deps: LoadDeps, args: Named): Promise<{ items: Queue[]; next: null }> {
  const from = deps.database.reads;
  const pool = await poolOf(from, args);
  const which = { workspaceId: args.scope.workspaceId, poolId: pool.id };
  const rows = await store.selectQueues(from, which);
  // Most pools have no queue: then no run is counted.
  const load = rows.length === 0 ? new Map<string, PoolLoad>() : await deps.load.ofQueues(from, which);
  return { items: rows.map((row) => queueOf(row, { pool: pool.name, load })), next: null };
}

/**
 * Deletes a queue. What waits in it keeps its place.
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
 * Makes sure that a pool has a queue. For slices that refer to queues.
 * @throws Problem `queue-not-found`, with the name that was probably meant.
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
    near === null ? `make it with \`towpath queue set ${pool.name} ${queue}\`` : `did you mean "${near}"?`;
  throw new Problem("queue-not-found", `Pool "${pool.name}" has no queue "${queue}"; ${suggestion}`, {
    faults: [{ path: "queue", message: `no queue "${queue}"`, suggestion }],
  });
}
