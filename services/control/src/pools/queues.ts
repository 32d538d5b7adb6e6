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

function queueOf(row: store.QueueRow, args: { pool: string; load: ReadonlyMap<string, PoolLoad> }): Queue {
  const { ready = 0, running = 0 } = args.load.get(row.name) ?? {};
  const { name, priority, createdAt } = row;
  return { name, pool: args.pool, priority, createdAt: createdAt.toISOString(), ready, running };
}

/** Moves the waiting runs of a queue to the positions that its new priority gives them. Provided by the slice `runs`. */
export type Reorder = (tx: Tx, args: { workspaceId: string; poolId: string; queue: string }) => Promise<void>;

/**
 * Creates a queue, or changes the priority of the one with this name. Runs that already wait in it move too.
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
      throw new Problem(
        "bad-request",
        `Pool "${pool.name}" already has ${there.length} queues, which is the maximum. Delete one first.`,
      );
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
 * The queues of a pool with their loads, highest priority first.
 * @throws Problem `pool-not-found`.
 */
export async function listQueues(deps: LoadDeps, args: Named): Promise<{ items: Queue[]; next: null }> {
  const from = deps.database.reads;
  const pool = await poolOf(from, args);
  const which = { workspaceId: args.scope.workspaceId, poolId: pool.id };
  const rows = await store.selectQueues(from, which);
  // Most pools have no queue, and then no runs are counted.
  const load = rows.length === 0 ? new Map<string, PoolLoad>() : await deps.load.ofQueues(from, which);
  return { items: rows.map((row) => queueOf(row, { pool: pool.name, load })), next: null };
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
