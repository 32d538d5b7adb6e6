import {
  type CreatePool,
  closest,
  Id,
  Name,
  type Pool,
  Problem,
  uuidv7,
  type Worker,
} from "@towpath/contract";
import { z } from "zod";
import {
  type Deps,
  DUE,
  dateOf,
  inTransaction,
  keepQuota,
  type PageInput,
  pageOf,
  type Queryable,
  readCursor,
  type Scope,
  type Tx,
  wakeAfterCommit,
  writeChanges,
} from "../kernel/index.ts";
import { deleteQueuesOf } from "./queue-store.ts";
import * as store from "./store.ts";
import { pool } from "./table.ts";

type PoolDeps = Pick<Deps, "database" | "clock" | "wakes" | "config">;

/** A work pool without its runs, which are in a slice to the right. */
export type PoolFacts = Omit<Pool, "ready" | "running">;

/** A worker without what it holds. */
export type WorkerFacts = Omit<Worker, "held" | "taken" | "holds">;

/** The fields of a pool that other slices use. */
export interface PoolIdentity {
  readonly id: string;
  readonly name: string;
}

/** The problem `pool-not-found`, with the most similar name. */
export async function poolNotFound(
  from: Queryable,
  args: { workspaceId: string; name: string; path?: string },
): Promise<Problem> {
  const names = await store.selectPoolNames(from, args.workspaceId);
  const near = closest(args.name, names);
  const suggestion =
    near === null ? `create it with \`towpath pool create ${args.name}\`` : `did you mean "${near}"?`;
  return new Problem("pool-not-found", `There is no work pool "${args.name}"; ${suggestion}`, {
    faults: [{ path: args.path ?? "name", message: `no work pool "${args.name}"`, suggestion }],
  });
}

async function describe(deps: PoolDeps, rows: readonly store.PoolRow[]): Promise<PoolFacts[]> {
  const [first] = rows;
  if (first === undefined) return [];
  const which = { workspaceId: first.workspaceId, poolIds: rows.map((row) => row.id) };
  const online = await store.countOnline(deps.database.reads, { ...which, clock: deps.clock });
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    type: row.type,
    createdAt: row.createdAt.toISOString(),
    workersOnline: online.get(row.id)?.online ?? 0,
    workersPaused: online.get(row.id)?.paused ?? 0,
  }));
}

async function describeOne(deps: PoolDeps, row: store.PoolRow): Promise<PoolFacts> {
  const [described] = await describe(deps, [row]);
  if (described === undefined) throw new Problem("internal", "A pool could not be described.");
  return described;
}

/**
 * Creates a work pool. A repeated call with the same settings returns the same pool.
 * @throws Problem `pool-exists` if a pool of this name has other settings; `quota-exceeded`.
 */
export async function createPool(
  deps: PoolDeps,
  args: { scope: Scope; input: CreatePool },
): Promise<PoolFacts> {
  const { workspaceId } = args.scope;
  const wanted = { workspaceId, name: args.input.name, type: args.input.type ?? ("process" as const) };
  const row = await inTransaction(deps, async (tx) => {
    const id = uuidv7(deps.clock.nowMs());
    await store.insertPool(tx, { ...wanted, id });
    const there = await store.selectPool(tx, wanted);
    if (there?.id !== id) return there;
    await keepQuota(tx, deps, { quota: "pools", workspaceId, table: pool });
    await writeChanges(tx, [{ workspaceId, kind: "pool", entityId: id }]);
    return there;
  });
  if (row === null) throw new Problem("internal", "The pool was not stored.");
  if (row.type !== wanted.type)
    throw new Problem("pool-exists", `The work pool "${row.name}" already exists with the type ${row.type}.`);
  return describeOne(deps, row);
}

/** Work pools by name. */
export async function listPools(
  deps: PoolDeps,
  args: { scope: Scope } & PageInput,
): Promise<{ items: PoolFacts[]; next: string | null }> {
  const after = readCursor(args.cursor, z.tuple([Name]))?.[0] ?? null;
  const which = { workspaceId: args.scope.workspaceId, after, limit: args.limit };
  const page = pageOf(await store.selectPools(deps.database.reads, which), {
    limit: args.limit,
    item: (row) => row,
    key: (row) => [row.name],
  });
  return { items: await describe(deps, page.items), next: page.next };
}

async function poolNamed(deps: PoolDeps, args: { scope: Scope; name: string }): Promise<store.PoolRow> {
  const which = { workspaceId: args.scope.workspaceId, name: args.name };
  const row = await store.selectPool(deps.database.reads, which);
  if (row === null) throw await poolNotFound(deps.database.reads, which);
  return row;
}

/**
 * One work pool.
 * @throws Problem `pool-not-found`.
 */
export async function getPool(deps: PoolDeps, args: { scope: Scope; name: string }): Promise<PoolFacts> {
  return describeOne(deps, await poolNamed(deps, args));
}

function pauseOf({ pausedUntilMs, pauseReason }: store.WorkerRow): Worker["paused"] {
  return pausedUntilMs === null
    ? null
    : { until: dateOf(pausedUntilMs).toISOString(), reason: pauseReason ?? "" };
}

function goneOf({ goneMs, goneBy }: store.WorkerRow): Worker["gone"] {
  return goneMs === null ? null : { at: dateOf(goneMs).toISOString(), by: goneBy ?? "" };
}

function workerOf(row: store.WorkerRow, pool: string): WorkerFacts {
  return {
    id: row.id,
    name: row.name,
    pool,
    version: row.version,
    capacity: row.capacity,
    amounts: row.amounts,
    online: row.online,
    draining: row.draining,
    gone: goneOf(row),
    stoppedAt: row.stoppedMs === null ? null : dateOf(row.stoppedMs).toISOString(),
    stores: row.stores,
    secrets: row.secrets,
    registries: row.registries,
    wall: row.wall,
    namespaces: row.namespaces,
    paused: pauseOf(row),
    firstSeenAt: dateOf(row.firstSeenMs).toISOString(),
    lastSeenAt: dateOf(row.lastSeenMs).toISOString(),
  };
}

/**
 * Records that a worker's machine is gone. Its attempts are lost when their leases have ended, see `lockLost`. A repeated call
 * keeps the first record.
 * @throws Problem `pool-not-found`, `worker-not-found`.
 */
export async function declareGone(
  deps: PoolDeps,
  args: { scope: Scope; name: string; workerId: string },
): Promise<WorkerFacts> {
  const { scope, workerId } = args;
  const { workspaceId } = scope;
  const { id: poolId, name } = await poolNamed(deps, args);
  return await inTransaction(deps, async (tx) => {
    const by = scope.actor.name;
    const row = await store.markGone(tx, { workspaceId, poolId, workerId, by, clock: deps.clock });
    if (row === null)
      throw new Problem(
        "worker-not-found",
        `The work pool "${name}" has no worker ${workerId}; \`towpath worker ls ${name}\` lists its workers`,
      );
    await writeChanges(tx, [{ workspaceId, kind: "worker", entityId: workerId }]);
    // The leases may have ended already.
    wakeAfterCommit(tx, "change", DUE);
    return workerOf(row, name);
  });
}

/**
 * Workers of a pool, last seen first.
 * @throws Problem `pool-not-found`.
 */
export async function listWorkers(
  deps: PoolDeps,
  args: { scope: Scope; name: string } & PageInput,
): Promise<{ items: WorkerFacts[]; next: string | null }> {
  const before = readCursor(args.cursor, z.tuple([z.iso.datetime(), Id]));
  const found = await poolNamed(deps, args);
  const { workspaceId } = args.scope;
  const rows = await store.selectWorkers(deps.database.reads, {
    workspaceId,
    poolId: found.id,
    before,
    limit: args.limit,
    clock: deps.clock,
  });
  return pageOf(rows, {
    limit: args.limit,
    item: (row) => workerOf(row, found.name),
    key: (row) => [row.lastSeen, row.id],
  });
}

/**
 * A pool, locked against other changes of its queues.
 * @throws Problem `pool-not-found`.
 */
export async function lockPool(tx: Tx, args: { workspaceId: string; name: string }): Promise<PoolIdentity> {
  const row = await store.lockPoolRow(tx, { ...args, lock: "no key update" });
  if (row === null) throw await poolNotFound(tx, args);
  return { id: row.id, name: row.name };
}

/** A pool, locked so that nothing can begin to use it. Null: there is none. */
export async function lockPoolToDelete(
  tx: Tx,
  args: { workspaceId: string; name: string },
): Promise<PoolIdentity | null> {
  const row = await store.lockPoolRow(tx, { ...args, lock: "update" });
  return row && { id: row.id, name: row.name };
}

/** Deletes a pool that the caller has locked, with its queues. */
export async function removePool(tx: Tx, args: { workspaceId: string; poolId: string }): Promise<void> {
  await deleteQueuesOf(tx, args);
  await store.deletePoolRow(tx, args);
}

/**
 * The pools of these names, in the order of the names.
 * @param args.isUsed true: they cannot be deleted until the transaction ends. @default false
 * @throws Problem `pool-not-found`, naming the first that does not exist.
 */
export async function getPools(
  from: Queryable,
  args: { workspaceId: string; names: readonly string[]; isUsed?: boolean },
): Promise<PoolIdentity[]> {
  const rows = await store.selectPoolsNamed(from, args);
  const byName = new Map(rows.map((row) => [row.name, row]));
  const found: PoolIdentity[] = [];
  for (const [index, name] of args.names.entries()) {
    const row = byName.get(name);
    if (row === undefined)
      throw await poolNotFound(from, { workspaceId: args.workspaceId, name, path: `pools.${index}` });
    found.push({ id: row.id, name: row.name });
  }
  return found;
}
