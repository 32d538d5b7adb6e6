import { type Amounts, workerOnlineMs } from "@towpath/contract";
import { sql } from "#sql";
import { type Clock, now, type Queryable, rows, type Tx, textArray } from "../../kernel/index.ts";

/**
 * The lists of equal needs that one step of matching looks at. In a pool with more, the next step begins after them.
 */
const LISTS_MAX = 200;
/** Workers of a pool that one step looks at. */
const WORKERS_MAX = 1_000;

/** A ready attempt of a pool, and its needs. */
export interface ReadyRow {
  readonly needs: string;
  readonly attemptId: string;
  readonly runId: string;
  readonly priority: number;
  readonly dueMs: number;
  readonly waitedMs: number;
}

/**
 * The first attempts of each list of equal needs in a pool, and of those that need only a slot. Takes no lock: the
 * worker that gets an attempt claims it. Index attempt_ready: a probe for each list, then its first rows.
 */
export function listReady(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; poolId: string; each: number; after: string },
): Promise<ReadyRow[]> {
  const at = now(clock);
  return rows<ReadyRow>(
    from,
    sql`with recursive list (needs) as (
        (select needs from attempt where pool_id = ${args.poolId} and workspace_id = ${args.workspaceId} and state = 'ready'
          and needs > ${args.after} order by needs limit 1)
        union all
        select (select n.needs from attempt n where n.pool_id = ${args.poolId} and n.workspace_id = ${args.workspaceId} and n.state = 'ready'
          and n.needs > list.needs order by n.needs limit 1) from list where list.needs is not null
      ), looked as (
        (select needs from list where needs is not null limit ${LISTS_MAX}) union all select '' collate "C"
      )
      select l.needs, f.id as "attemptId", f.run_id as "runId", f.priority, extract(epoch from f.scheduled_at)::float8 * 1000 as "dueMs",
        extract(epoch from ${at} - f.created_at)::float8 * 1000 as "waitedMs"
      from looked l cross join lateral (
        select id, run_id, priority, scheduled_at, created_at from attempt
        where pool_id = ${args.poolId} and workspace_id = ${args.workspaceId} and state = 'ready' and needs = l.needs
          and (not_before is null or not_before <= ${at})
        order by priority desc, scheduled_at, id limit ${args.each}
      ) f`,
  );
}

/** The list of needs after which the next step begins, if there were too many for one step. */
export function nextLists(found: readonly Pick<ReadyRow, "needs">[]): string {
  const needs = new Set(found.map((one) => one.needs).filter((needs) => needs !== ""));
  return needs.size < LISTS_MAX ? "" : ([...needs].sort().at(-1) ?? "");
}

/** An attempt that a worker holds and that needs amounts. */
export interface Holding {
  readonly attemptId: string;
  readonly runId: string;
  readonly needs: string;
  readonly forMs: number;
}

/** A worker of a pool as the database knows it, with the needs of what it holds. */
export interface WorkerNow {
  readonly id: string;
  readonly name: string;
  readonly generation: number;
  readonly pollSeq: number;
  readonly capacity: number;
  readonly amounts: Amounts;
  /** Whether it takes work: it is neither drained nor paused. */
  readonly takes: boolean;
  readonly held: number;
  /** The held attempts that need amounts. */
  readonly holds: readonly Holding[];
}

/**
 * Locks workers until the end of the transaction, in the order of their ids. The next statement sees everything that
 * any process has given to them.
 */
export async function lockWorkers(
  tx: Tx,
  args: { workspaceId: string; workerIds: readonly string[] },
): Promise<void> {
  await rows(
    tx,
    sql`select 1 from worker where workspace_id = ${args.workspaceId} and id = any(${textArray(args.workerIds)}::uuid[])
      order by id for no key update`,
  );
}

/**
 * The workers of a pool that are online or poll at this process. Held attempts are read from `attempt` and counted
 * nowhere else, so an attempt that ends in any way returns its amounts. Indexes worker_pool, attempt_held.
 */
export function listWorkersNow(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; poolId: string; waiting: readonly string[] },
): Promise<WorkerNow[]> {
  const at = now(clock);
  return rows<WorkerNow>(
    from,
    sql`select w.id, w.name, w.generation::float8 as generation, w.poll_seq::float8 as "pollSeq", w.capacity, w.amounts,
        not w.draining and (w.paused_until is null or w.paused_until <= ${at}) as takes, h.held,
        coalesce(h.holds, '[]') as holds
      from worker w cross join lateral (
        select count(*)::int as held,
          json_agg(json_build_object('attemptId', h.id, 'runId', h.run_id, 'needs', h.needs,
            'forMs', extract(epoch from ${at} - h.claimed_at)::float8 * 1000)) filter (where h.needs <> '') as holds
        from attempt h where h.worker_id = w.id and h.workspace_id = w.workspace_id and h.lease_expires_at is not null
      ) h
      where w.workspace_id = ${args.workspaceId} and w.pool_id = ${args.poolId}
        and (w.stopped_at is null and w.last_seen_at > ${at} - make_interval(secs => ${workerOnlineMs / 1000})
          or w.id = any(${textArray(args.waiting)}::uuid[]))
      order by w.last_seen_at desc limit ${WORKERS_MAX}`,
  );
}

/** The most attempts of a list that are counted. */
const COUNTED_MAX = 1_000;

/**
 * The position of a ready attempt among those with equal needs, from 1, and their number, counted up to 1000. Index
 * attempt_ready.
 */
export async function readPosition(
  from: Queryable,
  args: { workspaceId: string; attemptId: string },
): Promise<{ position: number; waiting: number }> {
  const [found] = await rows<{ position: number; waiting: number }>(
    from,
    sql`with mine as materialized (
        select pool_id, needs, priority, scheduled_at, id from attempt
        where id = ${args.attemptId} and workspace_id = ${args.workspaceId}
      ), queue as materialized (
        select o.priority, o.scheduled_at, o.id from attempt o
        where o.pool_id = (select pool_id from mine) and o.workspace_id = ${args.workspaceId} and o.state = 'ready'
          and o.needs = (select needs from mine)
        order by o.priority desc, o.scheduled_at, o.id limit ${COUNTED_MAX}
      )
      select (select count(*)::int from queue) as waiting, (select count(*)::int + 1 from queue l, mine m
        where l.priority > m.priority or l.priority = m.priority and (l.scheduled_at, l.id) < (m.scheduled_at, m.id)) as position`,
  );
  return found ?? { position: 1, waiting: 1 };
}
