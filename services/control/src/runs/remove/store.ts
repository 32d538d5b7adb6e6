import type { RunState } from "@towpath/contract";
import { sql } from "#sql";
import { columns, type Queryable, type RawRow, rowOf, rows, type Tx, textArray } from "../../kernel/index.ts";
import { archivedAt, type RunName } from "../history/find.ts";
import { lockRun } from "../moves/locks.ts";
import { type RunRow, run } from "../table.ts";

/**
 * Locks a run, live or archived, with its attempts, so that no report and no rerun of it commits meanwhile. Locks attempts
 * before the run, as reports do. Indexes attempt (workspace_id, run_id, ordinal), attempt_history_run.
 * @returns null if there is no such run.
 */
export async function lockWhole(
  tx: Tx,
  args: RunName,
): Promise<{ row: RunRow; attemptIds: readonly string[] } | null> {
  const mine = sql`a.workspace_id = ${args.workspaceId} and a.run_id = ${args.runId}`;
  const live = await rows<{ id: string }>(
    tx,
    sql`select a.id from attempt a where ${mine} order by a.id for update`,
  );
  const row = (await lockRun(tx, args)) ?? (await lockArchived(tx, args));
  if (row === null) return null;
  const archived = await rows<{ id: string }>(
    tx,
    sql`select a.id from attempt_history a where ${mine} and a.run_ended_at = ${archivedAt(args)} order by a.id for update`,
  );
  return { row, attemptIds: [...live, ...archived].map(({ id }) => id) };
}

async function lockArchived(tx: Tx, args: RunName): Promise<RunRow | null> {
  const [raw] = await rows<RawRow>(
    tx,
    sql`select ${columns(run, "r")} from run_history r
      where r.workspace_id = ${args.workspaceId} and r.id = ${args.runId} and r.ended_at = ${archivedAt(args)} for update`,
  );
  return raw === undefined ? null : rowOf(run, raw);
}

/** What still needs a run that has ended. Null: nothing of this kind. */
export interface Needing extends Record<string, string | null> {
  /** The id of its parent, which has not ended and may ask for it again. */
  readonly parent: string | null;
  /** The id of a run that has not ended and waited for it. */
  readonly waiter: string | null;
  /** The id of a rerun from the failure that has not ended and reuses results of it. */
  readonly rerun: string | null;
  /** The name of an external job of it that is not over. */
  readonly job: string | null;
}

/**
 * What still needs a run. Reads live runs that have dependents, with the primary key of wait; and triggers of live runs as
 * text first, because an index on them would cost every creation. Indexes wait_child, job_of_run.
 * @param args.origin the run from which the run's reruns reuse results.
 */
export async function findNeeding(
  from: Queryable,
  args: RunName & { parentId: string | null; hasDependents: boolean; origin: string },
): Promise<Needing> {
  const { workspaceId, runId, origin } = args;
  const [found] = await rows<Needing>(
    from,
    sql`select
      (select p.id from run p where p.workspace_id = ${workspaceId} and p.id = ${args.parentId}::uuid and p.ended_at is null) as parent,
      (select p.id from run p
        cross join lateral (select 1 from wait w
          where w.workspace_id = p.workspace_id and w.run_id = p.id and w.child_run_id = ${runId}::uuid limit 1) w
        where ${args.hasDependents}::boolean and p.workspace_id = ${workspaceId} and p.ended_at is null and p.tied limit 1) as waiter,
      (select r.id from run r where r.workspace_id = ${workspaceId} and r.ended_at is null
        and position(${origin}::text in r.trigger::text) > 0 and r.trigger ->> 'kind' = 'rerun'
        and r.trigger ->> 'fromFailure' = 'true' and r.trigger ->> 'origin' = ${origin}::text limit 1) as rerun,
      (select j.name from job j where j.workspace_id = ${workspaceId} and j.run_id = ${runId}::uuid and j.ended_at is null limit 1) as job`,
  );
  return found ?? { parent: null, waiter: null, rerun: null, job: null };
}

/**
 * Deletes a run that the caller has locked, with its attempts, task runs, waits, jobs and late reports. Its id and
 * idempotency key stay taken until the retention of history, so that a repeated request creates no second run.
 */
export async function deleteRows(
  tx: Tx,
  args: RunName & { endedAt: Date; attemptIds: readonly string[] },
): Promise<void> {
  const mine = sql`workspace_id = ${args.workspaceId} and run_id = ${args.runId}`;
  const self = sql`workspace_id = ${args.workspaceId} and id = ${args.runId}`;
  const endedAt = sql`${args.endedAt.toISOString()}::timestamptz`;
  await rows(
    tx,
    sql`with live_tasks as (delete from task_run where ${mine}
      ), past_tasks as (delete from task_run_history where ${mine} and run_ended_at = ${archivedAt(args)}
      ), live_attempts as (delete from attempt where ${mine}
      ), past_attempts as (delete from attempt_history where ${mine} and run_ended_at = ${archivedAt(args)}
      ), live_run as (delete from run where ${self}
      ), past_run as (delete from run_history where ${self} and ended_at = ${archivedAt(args)}
      ), waits as (delete from wait where ${mine}
      ), jobs as (delete from job where ${mine}
      ), late as (delete from late_report
        where workspace_id = ${args.workspaceId} and attempt_id = any(${textArray(args.attemptIds)}::uuid[])
      )
      update run_key set ended_at = coalesce(ended_at, ${endedAt}), parent_id = null, outcome = null where ${mine}`,
  );
}

/** Runs of a deployment that have not ended, and the oldest of them. */
export interface OpenRuns {
  readonly count: number;
  readonly runId: string;
  readonly state: RunState;
}

/** The runs of a deployment that have not ended, or null if there are none. Scans the live runs of the workspace. */
export async function countOpenRuns(
  from: Queryable,
  args: { workspaceId: string; deploymentId: string },
): Promise<OpenRuns | null> {
  const [found] = await rows<OpenRuns>(
    from,
    sql`select r.id as "runId", r.state, (count(*) over ())::int as count from run r
      where r.workspace_id = ${args.workspaceId} and r.deployment_id = ${args.deploymentId} and r.ended_at is null
      order by r.created_at, r.id limit 1`,
  );
  return found ?? null;
}
