import { workerOnlineMs } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  type Clock,
  columns,
  instantOrNull,
  now,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
} from "../../kernel/index.ts";
import { type AttemptRow, attempt, type RunRow, run, type TaskRunRow, taskRun } from "../table.ts";

/** A run by its tenant and id. */
export interface RunName {
  readonly workspaceId: string;
  readonly runId: string;
}

/** When an archived run ended, which names the one partition to look in. Null while it is live. */
export function archivedAt(args: RunName): SQL {
  return sql`(select ended_at from run_key where workspace_id = ${args.workspaceId} and run_id = ${args.runId})`;
}

/** A run, live or archived. One primary key of `run`, one of one partition of `run_history`. */
export async function findRun(from: Queryable, args: RunName): Promise<RunRow | null> {
  const where = sql`r.workspace_id = ${args.workspaceId} and r.id = ${args.runId}`;
  const [raw] = await rows<RawRow>(
    from,
    sql`select ${columns(run, "r")} from run r where ${where}
      union all
      select ${columns(run, "r")} from run_history r where ${where} and r.ended_at = ${archivedAt(args)}`,
  );
  return raw === undefined ? null : rowOf(run, raw);
}

/** All attempts of a run, in order. Index attempt (workspace_id, run_id, ordinal); attempt_history_run. */
export async function listAttempts(from: Queryable, args: RunName): Promise<AttemptRow[]> {
  const where = sql`a.workspace_id = ${args.workspaceId} and a.run_id = ${args.runId}`;
  const raws = await rows<RawRow>(
    from,
    sql`select ${columns(attempt, "a")} from attempt a where ${where}
      union all
      select ${columns(attempt, "a")} from attempt_history a where ${where} and a.run_ended_at = ${archivedAt(args)}
      order by ordinal`,
  );
  return raws.map((raw) => rowOf(attempt, raw));
}

/** What the reason of a run's waiting derives from. */
export interface WaitFacts {
  readonly now: Date;
  /** Workers that were heard lately and are not being drained. */
  readonly workersOnline: number;
  /** Workers that were heard lately and take nothing more. */
  readonly workersDraining: number;
  /** Of those online, workers that take nothing for a while; when the first will again, and why it does not now. */
  readonly workersPaused: number;
  readonly pausedUntil: Date | null;
  readonly pauseReason: string | null;
  /** What the workers online can hold, and what they hold. */
  readonly places: number;
  readonly taken: number;
  /** Attempts of the pool that a worker gets before this one. At most AHEAD_MAX. */
  readonly ahead: number;
}

/** The most attempts counted ahead of one: past it, "many" is all that anybody needs. */
export const AHEAD_MAX = 1_000;

/** The instant of the answer, and how it looks in the pool where a run waits. Indexes worker_pool, attempt_held, attempt_ready. */
export async function readWaitFacts(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; poolId: string; attemptId: string | null },
): Promise<WaitFacts> {
  const at = now(clock);
  const [facts] = await rows<{
    now: string;
    online: number;
    draining: number;
    paused: number;
    paused_until: string | null;
    pause_reason: string | null;
    places: number;
    taken: number;
    ahead: number;
  }>(
    from,
    sql`with mine as materialized (
        select priority, scheduled_at, id from attempt where id = ${args.attemptId} and state = 'ready'
      ), heard as materialized (
        select id, draining, capacity, pause_reason,
          case when not draining and paused_until > ${at} then paused_until end as paused_until from worker w where w.workspace_id = ${args.workspaceId}
          and w.pool_id = ${args.poolId} and w.last_seen_at > ${at} - make_interval(secs => ${workerOnlineMs / 1000})
      )
      select ${at} as now,
        (select count(*)::int from heard where not draining) as online,
        (select count(*)::int from heard where draining) as draining,
        (select count(paused_until)::int from heard) as paused,
        (select min(paused_until) from heard) as paused_until,
        (select pause_reason from heard where paused_until is not null order by paused_until limit 1) as pause_reason,
        (select coalesce(sum(capacity), 0)::int from heard where not draining) as places,
        (select count(*)::int from attempt h join heard on heard.id = h.worker_id
          where h.workspace_id = ${args.workspaceId} and h.lease_expires_at is not null and not heard.draining) as taken,
        (select count(*)::int from (
          select 1 from attempt o
          where o.pool_id = ${args.poolId} and o.workspace_id = ${args.workspaceId} and o.state = 'ready'
            and (o.priority > (select priority from mine) or o.priority = (select priority from mine)
              and (o.scheduled_at, o.id) < (select scheduled_at, id from mine))
          limit ${AHEAD_MAX}) counted) as ahead`,
  );
  return {
    now: instantOrNull(facts?.now ?? null) ?? new Date(0),
    workersOnline: facts?.online ?? 0,
    workersDraining: facts?.draining ?? 0,
    workersPaused: facts?.paused ?? 0,
    pausedUntil: instantOrNull(facts?.paused_until ?? null),
    pauseReason: facts?.pause_reason ?? null,
    places: facts?.places ?? 0,
    taken: facts?.taken ?? 0,
    ahead: facts?.ahead ?? 0,
  };
}

/** Task runs in order of attempt and appearance. Indexes task_run_order, task_run_history_order. */
export async function listTaskRunRows(
  from: Queryable,
  args: RunName & { limit: number; after: { attempt: number; ord: number } },
): Promise<TaskRunRow[]> {
  const where = sql`t.workspace_id = ${args.workspaceId} and t.run_id = ${args.runId} and t.kind = 'task'
    and (t.attempt, t.ord) > (${args.after.attempt}::integer, ${args.after.ord}::bigint)`;
  const raws = await rows<RawRow>(
    from,
    sql`(select ${columns(taskRun, "t")} from task_run t where ${where} order by t.attempt, t.ord limit ${args.limit})
      union all
      (select ${columns(taskRun, "t")} from task_run_history t where ${where} and t.run_ended_at = ${archivedAt(args)}
        order by t.attempt, t.ord limit ${args.limit})
      order by attempt, ord limit ${args.limit}`,
  );
  return raws.map((raw) => rowOf(taskRun, raw));
}
