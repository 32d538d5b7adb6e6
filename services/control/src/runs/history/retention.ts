import { idFloor } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { type Month, type Queryable, rows } from "../../kernel/index.ts";

/** The most rows of each table that one round deletes. */
export const FORGET_MAX = 1_000;

/** The first instant of a month, as SQL. */
export const startOf = (month: Month): SQL => sql`${new Date(month.startMs).toISOString()}::timestamptz`;

/** Whether a run has not ended, or not before a month, as SQL over its id. Primary key of run_key. */
export function isRunKept(args: { workspaceId: SQL; runId: SQL; since: Month }): SQL {
  return sql`exists (select 1 from run_key k where k.workspace_id = ${args.workspaceId} and k.run_id = ${args.runId}
    and (k.ended_at is null or k.ended_at >= ${startOf(args.since)}))`;
}

/** As `isRunKept`, of the run of an attempt. Primary keys of attempt and attempt_history. */
export function isAttemptKept(args: { attemptId: SQL; since: Month }): SQL {
  return sql`(exists (select 1 from attempt k where k.id = ${args.attemptId})
    or exists (select 1 from attempt_history k
      where k.id = ${args.attemptId} and k.run_ended_at >= ${startOf(args.since)}))`;
}

/**
 * Whether any attempt of a month belongs to a run that has not ended, or ended no earlier than another month. Primary
 * keys of attempt and attempt_history.
 */
export async function keepsAttemptOf(
  from: Queryable,
  args: { month: Month; since: Month },
): Promise<boolean> {
  const isOfMonth = sql`k.id >= ${idFloor(args.month.startMs)}::uuid and k.id < ${idFloor(args.month.endMs)}::uuid`;
  const [found] = await rows<{ kept: boolean }>(
    from,
    sql`select exists (select 1 from attempt k where ${isOfMonth})
      or exists (select 1 from attempt_history k
        where ${isOfMonth} and k.run_ended_at >= ${startOf(args.since)}) as kept`,
  );
  return found?.kept ?? true;
}

/** The default partitions, and the column that tells the month of a row. */
const STRAY = [
  { table: "run_history_default", column: "ended_at" },
  { table: "attempt_history_default", column: "run_ended_at" },
  { table: "task_run_history_default", column: "run_ended_at" },
] as const;

/**
 * Deletes old history from the default partitions, which get rows while a partition of a month is missing. Scans the
 * default partitions, which are almost empty.
 * @returns How many rows, at most FORGET_MAX of each table.
 */
export async function forgetStray(db: Queryable, before: Month): Promise<number> {
  let count = 0;
  for (const { table, column } of STRAY) {
    const gone = await db.execute(
      sql`delete from ${sql.identifier(table)} where ctid = any(array(
          select ctid from ${sql.identifier(table)}
          where ${sql.identifier(column)} < ${startOf(before)}
          limit ${FORGET_MAX}))
        returning 1`,
    );
    count += gone.length;
  }
  return count;
}

/**
 * Deletes the taken ids and idempotency keys of runs whose history is deleted, so that these tables do not grow without
 * a limit. A run whose parent has not ended stays: its parent would start it again. Indexes run_key_ended,
 * idempotency_key_run, primary key of run.
 * @returns How many runs, at most FORGET_MAX.
 */
export async function forgetKeys(db: Queryable, before: Month): Promise<number> {
  const [gone] = await rows<{ count: number }>(
    db,
    sql`with old as materialized (
        select c.workspace_id, c.run_id from run_key c
          -- The limit keeps this an index lookup for each row: an anti-join may read all live runs.
          left join lateral (select p.id from run p where p.workspace_id = c.workspace_id and p.id = c.parent_id
            and p.ended_at is null limit 1) q on true
        where c.ended_at < ${startOf(before)} and q.id is null
        order by c.ended_at limit ${FORGET_MAX}
      ), gone as (
        delete from run_key k using old o where k.workspace_id = o.workspace_id and k.run_id = o.run_id returning 1
      ), keys as (
        delete from idempotency_key i using old o where i.workspace_id = o.workspace_id and i.run_id = o.run_id
      )
      select count(*)::int as count from gone`,
  );
  return gone?.count ?? 0;
}

/** Tables of waits and jobs, and the column with the end of a row. */
const OVER_AT = { wait: "settled_at", job: "ended_at" } as const;

/**
 * Deletes waits and jobs of deleted runs. Indexes wait_settled, job_over, primary key of run_key.
 * @returns How many rows, at most FORGET_MAX.
 */
export async function forgetTraces(
  db: Queryable,
  args: { table: keyof typeof OVER_AT; before: Month },
): Promise<number> {
  const table = sql.identifier(args.table);
  const gone = await rows(
    db,
    sql`delete from ${table} where ctid = any(array(
        select o.ctid from ${table} o
        where o.${sql.identifier(OVER_AT[args.table])} < ${startOf(args.before)}
          and not ${isRunKept({ workspaceId: sql`o.workspace_id`, runId: sql`o.run_id`, since: args.before })}
        limit ${FORGET_MAX}))
      returning 1`,
  );
  return gone.length;
}

/**
 * Deletes old late reports on attempts of deleted runs. Index late_report_received.
 * @returns How many, at most FORGET_MAX.
 */
export async function forgetLate(db: Queryable, before: Month): Promise<number> {
  const gone = await rows(
    db,
    sql`delete from late_report where ctid = any(array(
        select l.ctid from late_report l
        where l.last_received_at < ${startOf(before)}
          and not ${isAttemptKept({ attemptId: sql`l.attempt_id`, since: before })}
        limit ${FORGET_MAX}))
      returning 1`,
  );
  return gone.length;
}

/**
 * Whether a run, live or in history, or an external job uses a version. Scans the live runs of a workspace, and those
 * of the deployment in history. Index run_history_deployment.
 */
export async function isVersionNeeded(
  from: Queryable,
  args: { workspaceId: string; versionId: string; deployment: string },
): Promise<boolean> {
  const [found] = await rows<{ needed: boolean }>(
    from,
    sql`select exists (select 1 from run r where r.workspace_id = ${args.workspaceId} and r.version_id = ${args.versionId})
      or exists (select 1 from job j where j.workspace_id = ${args.workspaceId} and j.version_id = ${args.versionId}
        and j.ended_at is null)
      or exists (select 1 from run_history h where h.workspace_id = ${args.workspaceId} and h.deployment = ${args.deployment}
        and h.version_id = ${args.versionId}) as needed`,
  );
  return found?.needed !== false;
}
