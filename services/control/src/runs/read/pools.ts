import {
  type CreatePool,
  type Pool,
  Problem,
  type Queue,
  type Worker,
  workerOnlineMs,
} from "@towpath/contract";
import {
  type Deps,
  dateOf,
  inTransaction,
  type PageInput,
  type Queryable,
  type Scope,
  writeChanges,
} from "../../kernel/index.ts";
import * as pools from "../../pools/index.ts";
import { reorderQueue } from "../admit/reorder.ts";
import { readHeldUntil, readPoolLoad, readQueueLoad, readWorkerLoad } from "./load-store.ts";

/** The caller, and the pool or queue that the caller names. */
interface Named {
  readonly scope: Scope;
  readonly name: string;
}

const IDLE = { ready: 0, running: 0 } as const;

/** A pool with its load. Both are read at the same time. */
async function withLoad(deps: Deps, { scope, name }: Named, found: Promise<pools.PoolFacts>): Promise<Pool> {
  const which = { workspaceId: scope.workspaceId, name };
  const [pool, load] = await Promise.all([found, readPoolLoad(deps.database.reads, which)]);
  return { ...pool, ...IDLE, ...load.get(pool.id) };
}

/** As `createPool` of the pools, with the pool's load. */
export function createPool(deps: Deps, args: { scope: Scope; input: CreatePool }): Promise<Pool> {
  const { scope, input } = args;
  return withLoad(deps, { scope, name: input.name }, pools.createPool(deps, args));
}

/**
 * One work pool with its load.
 * @throws Problem `pool-not-found`.
 */
export function getPool(deps: Deps, args: Named): Promise<Pool> {
  return withLoad(deps, args, pools.getPool(deps, args));
}

/** Work pools by name, with their load. */
export async function listPools(
  deps: Deps,
  args: { scope: Scope } & PageInput,
): Promise<{ items: Pool[]; next: string | null }> {
  const { workspaceId } = args.scope;
  const [{ items, next }, load] = await Promise.all([
    pools.listPools(deps, args),
    readPoolLoad(deps.database.reads, { workspaceId }),
  ]);
  return { items: items.map((pool) => ({ ...pool, ...IDLE, ...load.get(pool.id) })), next };
}

/**
 * Workers of a pool with what they hold, last seen first.
 * @throws Problem `pool-not-found`.
 */
export async function listWorkers(
  deps: Deps,
  args: Named & PageInput,
): Promise<{ items: Worker[]; next: string | null }> {
  const { items, next } = await pools.listWorkers(deps, args);
  const { workspaceId } = args.scope;
  const load = await readWorkerLoad(deps.database.reads, {
    workspaceId,
    workerIds: items.map(({ id }) => id),
  });
  return {
    items: items.map((worker) => ({ ...worker, held: 0, taken: {}, holds: [], ...load.get(worker.id) })),
    next,
  };
}

/**
 * Records that a worker's machine is gone, and returns the worker with what it holds.
 * @throws Problem `pool-not-found`, `worker-not-found`.
 */
export async function declareWorkerGone(deps: Deps, args: Named & { workerId: string }): Promise<Worker> {
  const { workspaceId } = args.scope;
  const worker = await pools.declareGone(deps, args);
  const load = await readWorkerLoad(deps.database.db, { workspaceId, workerIds: [worker.id] });
  return { ...worker, held: 0, taken: {}, holds: [], ...load.get(worker.id) };
}

/**
 * Removes an offline worker that holds no attempt. The lock of its row keeps its polls out. A worker that comes back opens a
 * session and is registered again. Repeating it changes nothing.
 * @throws Problem `pool-not-found`; `worker-in-use`.
 */
export async function deleteWorker(deps: Deps, args: Named & { workerId: string }): Promise<void> {
  const { workspaceId } = args.scope;
  const { workerId } = args;
  await inTransaction(deps, async (tx) => {
    const [pool] = await pools.getPools(tx, { workspaceId, names: [args.name] });
    if (pool === undefined) return;
    const worker = await pools.lockWorker(tx, { workspaceId, poolId: pool.id, workerId, clock: deps.clock });
    if (worker === null) return;
    refuseOnline(worker);
    refuseHolding(worker, await readHeldUntil(tx, { workspaceId, workerId }));
    await pools.deleteWorkerRow(tx, { workspaceId, workerId });
    await writeChanges(tx, [{ workspaceId, kind: "worker", entityId: workerId }]);
  });
  deps.log.info(
    { workspace: workspaceId, worker: workerId, by: args.scope.actor.name },
    "a worker was removed",
  );
}

/** @throws Problem `worker-in-use`. */
function refuseOnline({ name, online, agoMs }: { name: string; online: boolean; agoMs: number }): void {
  if (!online) return;
  throw new Problem(
    "worker-in-use",
    `Worker "${name}" was online ${Math.max(0, Math.round(agoMs / 1000))} s ago. Stop it, and remove it ${workerOnlineMs / 1000} s later.`,
  );
}

/** @throws Problem `worker-in-use`. */
function refuseHolding({ name }: { name: string }, held: Awaited<ReturnType<typeof readHeldUntil>>): void {
  if (held === null) return;
  const runs = held.count === 1 ? `run ${held.runId}` : `${held.count} runs, such as ${held.runId}`;
  throw new Problem(
    "worker-in-use",
    `Worker "${name}" is silent and still has ${runs}. If its machine will not return, \`towpath worker gone ${name}\` gives them up. Else start it again, or remove it after ${dateOf(held.untilMs).toISOString()}, when they are lost.`,
  );
}

/**
 * Creates a queue, or changes its priority. Then the runs that wait in it move to their new positions.
 * @throws Problem as `setQueue` of the pools.
 */
export async function setQueue(
  deps: Deps,
  args: Named & { input: Parameters<typeof pools.setQueue>[2]["input"] },
): Promise<Queue> {
  const { workspaceId } = args.scope;
  return inTransaction(deps, async (tx) => {
    const { queue, poolId, isMoved } = await pools.setQueue(tx, deps, args);
    if (isMoved) await reorderQueue(tx, { workspaceId, poolId, queue: queue.name });
    const [answer = { ...queue, ...IDLE }] = await withQueueLoad(tx, {
      workspaceId,
      poolId,
      queues: [queue],
    });
    return answer;
  });
}

/**
 * Queues of a pool with their load, the highest priority first.
 * @throws Problem `pool-not-found`.
 */
export async function listQueues(deps: Deps, args: Named): Promise<{ items: Queue[]; next: null }> {
  const { workspaceId } = args.scope;
  const found = await pools.listQueues(deps, args);
  return { items: await withQueueLoad(deps.database.reads, { workspaceId, ...found }), next: null };
}

async function withQueueLoad(
  from: Queryable,
  args: { workspaceId: string; poolId: string; queues: readonly pools.QueueFacts[] },
): Promise<Queue[]> {
  // Most pools have no queue, and then there is nothing to count.
  const load = args.queues.length === 0 ? new Map() : await readQueueLoad(from, args);
  return args.queues.map((queue) => ({ ...queue, ...IDLE, ...load.get(queue.name) }));
}
