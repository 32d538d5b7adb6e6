import { workerOnlineMs } from "@towpath/contract";
import { sql } from "#sql";
import { type Clock, instantOrNull, now, type Queryable, rows } from "../../kernel/index.ts";

/** The facts that explain why a run waits. */
export interface WaitFacts {
  readonly now: Date;
  /** Workers that were heard lately and are not being drained. */
  readonly workersOnline: number;
  /** Workers that were heard lately and take nothing more. */
  readonly workersDraining: number;
  /** Paused workers among those online, and when the first resumes and why it is paused. */
  readonly workersPaused: number;
  readonly pausedUntil: Date | null;
  readonly pauseReason: string | null;
  /** What the workers online can hold, and what they hold. */
  readonly slots: number;
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
    slots: number;
    taken: number;
    ahead: number;
  }>(
    from,
    sql`with mine as materialized (
        select priority, scheduled_at, id from attempt where id = ${args.attemptId} and state = 'ready'
      ), heard as materialized (
        select id, draining, capacity, pause_reason,
          case when not draining and paused_until > ${at} then paused_until end as paused_until from worker w where w.workspace_id = ${args.workspaceId}
          and w.pool_id = ${args.poolId} and w.stopped_at is null and w.last_seen_at > ${at} - make_interval(secs => ${workerOnlineMs / 1000})
      )
      select ${at} as now,
        (select count(*)::int from heard where not draining) as online,
        (select count(*)::int from heard where draining) as draining,
        (select count(paused_until)::int from heard) as paused,
        (select min(paused_until) from heard) as paused_until,
        (select pause_reason from heard where paused_until is not null order by paused_until limit 1) as pause_reason,
        (select coalesce(sum(capacity), 0)::int from heard where not draining) as slots,
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
    slots: facts?.slots ?? 0,
    taken: facts?.taken ?? 0,
    ahead: facts?.ahead ?? 0,
  };
}
