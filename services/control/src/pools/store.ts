import { type Amounts, type StoreMark, secretVariable, type Wall, workerOnlineMs } from "@towpath/contract";
import { and, asc, eq, gt, inArray, type SQL, sql } from "#sql";
import { type Clock, now, prepared, type Queryable, type Tx, textArray, UNHURRIED } from "../kernel/index.ts";
import { pool, worker } from "./table.ts";

/** A pause that a worker reports. */
export interface Paused {
  readonly forMs: number;
  readonly reason: string;
}

/** A row of pool. */
export type PoolRow = typeof pool.$inferSelect;

/** The most names that are searched for a suggestion. */
const SUGGESTIONS_MAX = 500;

/** Whether a row of worker is online. */
export const online = (clock: Clock) =>
  sql<boolean>`(worker.gone_at is null and worker.stopped_at is null and worker.last_seen_at > ${now(clock)} - make_interval(secs => ${workerOnlineMs / 1000}))`;

/** Inserts a pool unless one of this name exists. */
export async function insertPool(
  to: Queryable,
  row: Pick<PoolRow, "id" | "workspaceId" | "name" | "type">,
): Promise<void> {
  await to.insert(pool).values(row).onConflictDoNothing();
}

/** One pool by its name. */
export async function selectPool(
  from: Queryable,
  args: { workspaceId: string; name: string },
): Promise<PoolRow | null> {
  const [row] = await from
    .select()
    .from(pool)
    .where(and(eq(pool.workspaceId, args.workspaceId), eq(pool.name, args.name)));
  return row ?? null;
}

/** One pool by its name, locked. With the lock `no key update`, rows that refer to it can still be inserted. */
export async function lockPoolRow(
  tx: Tx,
  args: { workspaceId: string; name: string; lock: "update" | "no key update" },
): Promise<PoolRow | null> {
  const [row] = await tx
    .select()
    .from(pool)
    .where(and(eq(pool.workspaceId, args.workspaceId), eq(pool.name, args.name)))
    .for(args.lock);
  return row ?? null;
}

/** Pools of these names. `isUsed` locks them against deletion. */
export async function selectPoolsNamed(
  from: Queryable,
  args: { workspaceId: string; names: readonly string[]; isUsed?: boolean },
): Promise<PoolRow[]> {
  const found = from
    .select()
    .from(pool)
    .where(and(eq(pool.workspaceId, args.workspaceId), inArray(pool.name, [...args.names])));
  return args.isUsed === true ? found.for("key share") : found;
}

/** Deletes a pool. The database refuses it if a version, worker or queue refers to it. */
export async function deletePoolRow(tx: Tx, args: { workspaceId: string; poolId: string }): Promise<void> {
  await tx.delete(pool).where(and(eq(pool.workspaceId, args.workspaceId), eq(pool.id, args.poolId)));
}

/** Deletes the workers of a pool that are offline and hold no attempt. Indexes worker_pool, attempt_held. */
export async function deleteIdleWorkers(
  tx: Tx,
  args: { workspaceId: string; poolId: string; clock: Clock },
): Promise<void> {
  await tx.execute(sql`
    delete from worker w using (
      select id from worker where workspace_id = ${args.workspaceId} and pool_id = ${args.poolId}
        and not ${online(args.clock)}
        and not exists (select 1 from attempt a where a.workspace_id = ${args.workspaceId} and a.worker_id = worker.id
          and a.lease_expires_at is not null)
      order by id for update) idle
    where w.workspace_id = ${args.workspaceId} and w.id = idle.id`);
}

/** How many workers of a pool are known, online or not. */
export async function countWorkers(
  from: Queryable,
  args: { workspaceId: string; poolId: string },
): Promise<number> {
  const [row] = await from
    .select({ count: sql<number>`count(*)::int` })
    .from(worker)
    .where(and(eq(worker.workspaceId, args.workspaceId), eq(worker.poolId, args.poolId)));
  return row?.count ?? 0;
}

/** Pools by name, one more than a page. */
export function selectPools(
  from: Queryable,
  args: { workspaceId: string; after: string | null; limit: number },
): Promise<PoolRow[]> {
  return from
    .select()
    .from(pool)
    .where(
      and(
        eq(pool.workspaceId, args.workspaceId),
        args.after === null ? undefined : gt(pool.name, args.after),
      ),
    )
    .orderBy(asc(pool.name))
    .limit(args.limit + 1);
}

/** Some names of pools, for suggestions. */
export async function selectPoolNames(from: Queryable, workspaceId: string): Promise<string[]> {
  const rows = await from
    .select({ name: pool.name })
    .from(pool)
    .where(eq(pool.workspaceId, workspaceId))
    .orderBy(asc(pool.name))
    .limit(SUGGESTIONS_MAX);
  return rows.map((row) => row.name);
}

/** For each of these pools: how many workers are online, and how many of those are paused. */
export async function countOnline(
  from: Queryable,
  args: { workspaceId: string; poolIds: readonly string[]; clock: Clock },
): Promise<Map<string, { online: number; paused: number }>> {
  if (args.poolIds.length === 0) return new Map();
  const rows = await from
    .select({
      poolId: worker.poolId,
      online: sql<number>`count(*)::int`,
      paused: sql<number>`count(*) filter (where ${worker.pausedUntil} > ${now(args.clock)})::int`,
    })
    .from(worker)
    .where(
      and(
        eq(worker.workspaceId, args.workspaceId),
        inArray(worker.poolId, [...args.poolIds]),
        online(args.clock),
      ),
    )
    .groupBy(worker.poolId);
  return new Map(rows.map(({ poolId, ...counts }) => [poolId, counts]));
}

/** A worker in a list. `lastSeen` is exact, for the cursor. */
export interface WorkerRow extends Record<string, unknown> {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly capacity: number;
  readonly amounts: Amounts;
  readonly stores: Record<string, StoreMark>;
  readonly secrets: string[] | null;
  readonly registries: string[] | null;
  readonly wall: Wall | null;
  readonly namespaces: boolean | null;
  readonly draining: boolean;
  /** Null unless its machine is declared gone. */
  readonly goneMs: number | null;
  readonly goneBy: string | null;
  /** Null unless the worker is paused now. */
  readonly pausedUntilMs: number | null;
  readonly pauseReason: string | null;
  /** Null unless it stopped. */
  readonly stoppedMs: number | null;
  readonly online: boolean;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  readonly lastSeen: string;
}

/** The columns of a `WorkerRow`. */
const workerColumns = (
  clock: Clock,
) => sql`id, name, version, capacity, amounts, stores, secrets, registries, wall, namespaces, draining,
  ${online(clock)} as online, extract(epoch from gone_at)::float8 * 1000 as "goneMs", gone_by as "goneBy",
  extract(epoch from stopped_at)::float8 * 1000 as "stoppedMs",
  case when paused_until > ${now(clock)} then extract(epoch from paused_until)::float8 * 1000 end
    as "pausedUntilMs", pause_reason as "pauseReason",
  extract(epoch from first_seen_at)::float8 * 1000 as "firstSeenMs",
  extract(epoch from last_seen_at)::float8 * 1000 as "lastSeenMs",
  to_char(last_seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "lastSeen"`;

/** Workers of a pool, last seen first, one more than a page. Uses index worker_pool. */
export async function selectWorkers(
  from: Queryable,
  args: {
    workspaceId: string;
    poolId: string;
    before: readonly [string, string] | null;
    limit: number;
    clock: Clock;
  },
): Promise<WorkerRow[]> {
  const [lastSeen, id] = args.before ?? [null, null];
  const rows = await from.execute<WorkerRow>(sql`
    select ${workerColumns(args.clock)}
    from worker
    where workspace_id = ${args.workspaceId} and pool_id = ${args.poolId}
      and (${lastSeen}::timestamptz is null or (last_seen_at, id) < (${lastSeen}::timestamptz, ${id}::uuid))
    order by last_seen_at desc, id desc
    limit ${args.limit + 1}`);
  return [...rows];
}

/**
 * Marks a worker of a pool as gone, and returns it. The first mark stays. Null: the pool has no such worker. Primary key.
 */
export async function markGone(
  to: Queryable,
  args: { workspaceId: string; poolId: string; workerId: string; by: string; clock: Clock },
): Promise<WorkerRow | null> {
  const [row] = await to.execute<WorkerRow>(sql`
    update worker set gone_by = case when gone_at is null then ${args.by} else gone_by end,
      gone_at = coalesce(gone_at, ${now(args.clock)})
    where workspace_id = ${args.workspaceId} and id = ${args.workerId} and pool_id = ${args.poolId}
    returning ${workerColumns(args.clock)}`);
  return row ?? null;
}

/** Marks the other workers of a name in a pool as gone, except those that are. @returns their ids. Index worker_pool. */
export async function markReplaced(
  tx: Tx,
  args: { workspaceId: string; poolId: string; workerId: string; name: string; clock: Clock },
): Promise<string[]> {
  const marked = await tx.execute<{ id: string }>(sql`
    update worker set gone_at = ${now(args.clock)}, gone_by = ${`A new worker of the name ${args.name}`}
    where workspace_id = ${args.workspaceId} and pool_id = ${args.poolId} and name = ${args.name}
      and id <> ${args.workerId} and gone_at is null
    returning id`);
  return marked.map(({ id }) => id);
}

/**
 * Whether a worker of a pool is online, accepts work and reports values for all these secrets. Workers of earlier
 * releases report none. Index worker_pool.
 */
export async function hasWorkerWithSecrets(
  from: Queryable,
  args: {
    workspaceId: string;
    poolId: string;
    exceptWorkerId: string | null;
    names: readonly string[];
    clock: Clock;
  },
): Promise<boolean> {
  const [row] = await from.execute<{ found: boolean }>(sql`
    select exists (
      select from worker
      where workspace_id = ${args.workspaceId} and pool_id = ${args.poolId} and not draining and ${online(args.clock)}
        and id is distinct from ${args.exceptWorkerId}::uuid
        and not exists (
          select from unnest(${textArray(args.names)}::text[], ${textArray(args.names.map(secretVariable))}::text[])
            as needed (name, variable)
          where not coalesce(jsonb_exists_any(worker.secrets, array[needed.name, needed.variable]), false)
        )
    ) as found`);
  return row?.found ?? false;
}

/** The names of online workers without a workspace key, by name. They could not seal what they report. */
export async function selectKeyless(
  from: Queryable,
  args: { workspaceId: string; limit: number; clock: Clock },
): Promise<string[]> {
  const rows = await from
    .select({ name: worker.name })
    .from(worker)
    .where(
      and(
        eq(worker.workspaceId, args.workspaceId),
        online(args.clock),
        sql`jsonb_array_length(coalesce(${worker.workspaceKeys}, '[]')) = 0`,
      ),
    )
    .orderBy(worker.name)
    .limit(args.limit);
  return rows.map(({ name }) => name);
}

/** A worker that has a store. */
export interface StoreWorker {
  readonly id: string;
  readonly name: string;
  readonly pool: string;
  readonly online: boolean;
  /** Whether it sends stored bodies. */
  readonly reads: boolean;
}

/** Workers that have reported a store, those first that can send its bodies now, then the last seen. */
export async function selectStoreWorkers(
  from: Queryable,
  args: { workspaceId: string; storeId: string; limit: number; clock: Clock },
): Promise<StoreWorker[]> {
  const rows = await from.execute<StoreWorker & Record<string, unknown>>(sql`
    select worker.id, worker.name, pool.name as pool, ${online(args.clock)} as online, coalesce(worker.reads, false) as reads
    from worker join pool on pool.id = worker.pool_id
    where worker.workspace_id = ${args.workspaceId} and exists (
      select from jsonb_each(worker.stores) as store where store.value ->> 'id' = ${args.storeId})
    order by ${online(args.clock)} and coalesce(worker.reads, false) desc, worker.last_seen_at desc, worker.id
    limit ${args.limit}`);
  return [...rows];
}

/** What a worker reports when it opens a session. */
export interface SeenWorker {
  readonly workspaceId: string;
  readonly id: string;
  readonly poolId: string;
  readonly keyId: string;
  readonly name: string;
  readonly version: string;
  readonly protocol: number;
  readonly capacity: number;
  readonly amounts: Amounts;
  readonly stores: Record<string, StoreMark>;
  readonly workspaceKeys: string[] | null;
  readonly reads: boolean | null;
  readonly secrets: string[] | null;
  readonly registries: string[] | null;
  readonly wall: Wall | null;
  readonly namespaces: boolean | null;
  readonly process: string;
}

/**
 * Inserts or updates a worker. A worker may return with another key or in another pool. It may not change both while
 * its earlier key is valid, nor with a key that is for one pool. Otherwise the holder of one pool's key could take over
 * the attempts of a worker in another pool.
 * @returns the worker's generation and whether it is new; null if the change is refused.
 */
export async function upsertWorker(
  to: Queryable,
  args: SeenWorker & { keyPool: string | null; clock: Clock },
): Promise<{ generation: number; isNew: boolean } | null> {
  const [row] = await to.execute<{ generation: string; isNew: boolean }>(sql`
    insert into worker as w (workspace_id, id, pool_id, key_id, name, version, protocol, capacity, amounts, stores, secrets,
      registries, wall, namespaces, workspace_keys, reads, first_seen_at, last_seen_at, process, generation)
    values (${args.workspaceId}, ${args.id}, ${args.poolId}, ${args.keyId}, ${args.name}, ${args.version}, ${args.protocol},
      ${args.capacity}, ${JSON.stringify(args.amounts)}::text::jsonb, ${JSON.stringify(args.stores)}::text::jsonb,
      ${args.secrets && JSON.stringify(args.secrets)}::text::jsonb, ${args.registries && JSON.stringify(args.registries)}::text::jsonb,
      ${args.wall}, ${args.namespaces}, ${args.workspaceKeys && JSON.stringify(args.workspaceKeys)}::text::jsonb,
      ${args.reads}, ${now(args.clock)}, ${now(args.clock)}, ${args.process}, 1)
    on conflict (workspace_id, id) do update set
      pool_id = excluded.pool_id, key_id = excluded.key_id, name = excluded.name, version = excluded.version,
      protocol = excluded.protocol, capacity = excluded.capacity, amounts = excluded.amounts,
      stores = excluded.stores, secrets = excluded.secrets, registries = excluded.registries, wall = excluded.wall,
      namespaces = excluded.namespaces, workspace_keys = excluded.workspace_keys, reads = excluded.reads, draining = false,
      gone_at = null, gone_by = null, stopped_at = null,
      last_seen_at = excluded.last_seen_at, process = excluded.process,
      generation = w.generation + case when w.process = excluded.process then 0 else 1 end,
      poll_seq = case when w.process = excluded.process then w.poll_seq else 0 end,
      offering_since = case when w.process = excluded.process then w.offering_since end
    where w.pool_id = excluded.pool_id or w.key_id = excluded.key_id
      or (${args.keyPool}::text is null
        and exists (select 1 from access_key k where k.id = w.key_id and k.revoked_at is not null))
    returning generation::text as generation, xmax = 0 as "isNew"`);
  return row === undefined ? null : { generation: Number(row.generation), isNew: row.isNew };
}

/**
 * Records that a worker has stopped, unless it has started again since or still holds an attempt. A repeated call keeps the
 * first time. @returns whether it is recorded. Primary key, index attempt_held.
 */
export async function markStopped(
  tx: Tx,
  args: { workspaceId: string; workerId: string; generation: number; clock: Clock },
): Promise<boolean> {
  const marked = await tx.execute(sql`
    update worker set stopped_at = coalesce(stopped_at, ${now(args.clock)})
    where workspace_id = ${args.workspaceId} and id = ${args.workerId} and generation = ${args.generation}
      and not exists (select 1 from attempt a where a.workspace_id = ${args.workspaceId} and a.worker_id = worker.id
        and a.lease_expires_at is not null)
    returning 1`);
  return marked.length > 0;
}

/** Which workers count against the quota: those seen lately, unless their key is revoked. */
export function seenLately(clock: Clock): SQL {
  return sql`last_seen_at > ${now(clock)} - interval '1 day'
    and not exists (select 1 from access_key k where k.id = worker.key_id and k.revoked_at is not null)`;
}

/** Deletes workers of a workspace that opened a session minutes ago and have never polled. @returns how many. */
export async function deleteNeverPolled(
  tx: Tx,
  args: { workspaceId: string; limit: number; clock: Clock },
): Promise<number> {
  const gone = await tx.execute(sql`
    delete from worker w using (
      select id from worker where workspace_id = ${args.workspaceId} and generation = 1 and poll_seq = 0
        and last_seen_at < ${now(args.clock)} - interval '5 minutes'
      limit ${args.limit} for update skip locked) idle
    where w.workspace_id = ${args.workspaceId} and w.id = idle.id
    returning 1`);
  return gone.length;
}

/** Whether a workspace has this worker. */
export async function isKnownWorker(
  from: Queryable,
  args: { workspaceId: string; workerId: string },
): Promise<boolean> {
  const found = await from
    .select({ id: worker.id })
    .from(worker)
    .where(and(eq(worker.workspaceId, args.workspaceId), eq(worker.id, args.workerId)));
  return found.length > 0;
}

/** One poll: its worker, the worker's generation, and the poll's number in that generation. */
export interface SeenPoll {
  readonly workerId: string;
  readonly generation: number;
  readonly seq: number;
  readonly draining: boolean;
  readonly paused: Paused | null;
  /** The incarnation in which the worker has offered its attempts again. Null if it names none. */
  readonly reconciled?: string | null;
  /** Whether the worker is still offering attempts again. @default false */
  readonly offering?: boolean;
}

/**
 * For how long after a worker was declared gone a recorded poll does not show that it lives, seconds. A process of the control
 * plane may record the last polls of a dead worker this late.
 */
const LATE_POLL_SECONDS = 15;

/** A worker that polled. */
export interface NotedWorker {
  readonly id: string;
  readonly name: string;
  /** The generation of its latest session. */
  readonly generation: number;
  /** Whether no later poll, and no poll of a later generation, is recorded. */
  readonly latest: boolean;
  /** How long the worker has been offering attempts again, milliseconds. Null if it is not. */
  readonly offeringMs: number | null;
}

const goneStays = (clock: Clock) =>
  sql`w.gone_at > ${now(clock)} - make_interval(secs => ${LATE_POLL_SECONDS})`;

/**
 * Records polls of workers. Of any number of concurrent polls of a worker, the latest stays. One statement locks the
 * rows in the order of their ids. The answer has the rows as they were locked: a worker that was deleted while the statement
 * waited is missing, as an unknown one is. The commit does not wait for the disk: after a crash the next poll repeats the facts.
 */
export async function updateSeen(
  to: Queryable,
  args: { workspaceId: string; polls: readonly SeenPoll[]; clock: Clock },
): Promise<NotedWorker[]> {
  const ids = `{${args.polls.map((poll) => poll.workerId).join()}}`;
  const came = args.polls.map(({ paused, ...poll }) => ({
    ...poll,
    reason: paused?.reason ?? null,
    pausedSeconds: paused === null ? null : paused.forMs / 1000,
  }));
  return prepared<NotedWorker>(
    to,
    sql`with came as materialized (
        select * from json_to_recordset(${JSON.stringify(came)}::json) as c ("workerId" uuid, generation bigint,
          seq bigint, draining boolean, "pausedSeconds" float8, reason text, reconciled uuid, offering boolean)
      ), locked as materialized (
        select w.id, w.name, w.generation, ${UNHURRIED} as unhurried from worker w where w.workspace_id = ${args.workspaceId} and w.id = any(${ids}::uuid[])
        order by w.id for update
      ), noted as (
        update worker w set last_seen_at = ${now(args.clock)}, draining = c.draining, poll_seq = c.seq,
          paused_until = ${now(args.clock)} + make_interval(secs => c."pausedSeconds"), pause_reason = c.reason, reconciled = coalesce(c.reconciled, w.reconciled),
          offering_since = case when c.offering then coalesce(w.offering_since, ${now(args.clock)}) end,
          gone_at = case when ${goneStays(args.clock)} then w.gone_at end,
          gone_by = case when ${goneStays(args.clock)} then w.gone_by end
        from came c where w.workspace_id = ${args.workspaceId} and w.id = any(array(select id from locked))
          and c."workerId" = w.id and w.generation = c.generation and w.poll_seq < c.seq
        returning w.id, w.offering_since
      )
      select l.id, l.name, l.generation::float8 as generation, n.id is not null as latest,
        extract(epoch from ${now(args.clock)} - n.offering_since)::float8 * 1000 as "offeringMs"
      from locked l left join noted n on n.id = l.id`,
  );
}

/** Deletes workers that were last seen longer ago than this, at most `limit`. @returns how many. */
export async function deleteUnseen(
  to: Queryable,
  args: { unseenMs: number; limit: number; clock: Clock },
): Promise<number> {
  const gone = await to.execute(sql`
    delete from worker where (workspace_id, id) in (
      select workspace_id, id from worker
      where last_seen_at < ${now(args.clock)} - make_interval(secs => ${args.unseenMs / 1000}) limit ${args.limit})
    returning 1`);
  return gone.length;
}
