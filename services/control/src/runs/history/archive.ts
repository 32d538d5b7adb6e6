import { type SQL, sql } from "#sql";
import {
  type Clock,
  columnNames,
  columns,
  lockedOf,
  now,
  type Queryable,
  rows,
  type Tx,
  textArray,
  type Which,
} from "../../kernel/index.ts";
import { runColumns } from "../moves/run-columns.ts";
import { attempt, run, taskRun } from "../table.ts";
import { outcomeOf } from "./kept-children.ts";

/** The most runs that one round moves. */
export const ARCHIVE_BATCH = 200;

/**
 * Rows of the picked runs. The arrays keep this an index scan, however much history there is; the join pairs the rows.
 */
const ofPicked = (alias: string, runId: string): SQL => {
  const column = (name: string) => sql`${sql.identifier(alias)}.${sql.identifier(name)}`;
  return sql`${column("workspace_id")} = p.workspace_id and ${column(runId)} = p.id
    and ${column("workspace_id")} = any(array(select distinct workspace_id from picked))
    and ${column(runId)} = any(array(select id from picked))`;
};

/** When the control plane recorded the end of a run. */
const recordedAt = sql`coalesce(r.reported_at, r.ended_at)`;

/** Milliseconds until the first ended run is due for archiving, or null. Index run_end_recorded. */
export function untilArchived(clock: Clock, args: { afterMs: number; among: Which["among"] }): SQL {
  return sql`select extract(epoch from ${recordedAt} - ${now(clock)}) * 1000 + ${args.afterMs}::float8
    from run r where r.ended_at is not null and ${args.among(runColumns)} order by ${recordedAt} limit 1`;
}

/** A run that is to move. */
export interface EndedRun {
  readonly workspaceId: string;
  readonly id: string;
}

/**
 * Locks runs whose end was recorded a while ago, the earliest first; skips runs that another transaction holds. Index
 * run_end_recorded.
 */
export function lockEnded(
  from: Queryable,
  clock: Clock,
  args: Which & { afterMs: number },
): Promise<EndedRun[]> {
  return rows<EndedRun>(
    from,
    sql`select r.workspace_id as "workspaceId", r.id from run r
      where r.ended_at is not null and ${recordedAt} < ${now(clock)} - make_interval(secs => ${args.afterMs / 1000})
        and ${args.among(runColumns)}
      order by ${recordedAt} limit ${args.limit} ${lockedOf(args, sql`r`)}`,
  );
}

/**
 * Moves runs that the caller has locked to history, with their attempts and task runs. Notes in `run_key` where they
 * went, and how children of live runs ended. One statement, so that a reader's statement sees each run on one side.
 * Indexes primary key of run, attempt (workspace_id, run_id, ordinal), task_run_order, primary key of run_key.
 */
export async function archiveEnded(tx: Tx, ended: readonly EndedRun[]): Promise<void> {
  const [workspaceIds, ids] = [ended.map((one) => one.workspaceId), ended.map((one) => one.id)];
  await rows(
    tx,
    sql`with picked as materialized (
        select r.workspace_id, r.id, r.ended_at, q.id as parent_id,
          case when q.id is not null then ${outcomeOf("r")} end as outcome
        from unnest(${textArray(workspaceIds)}::uuid[], ${textArray(ids)}::uuid[]) as e (workspace_id, id)
          join run r on r.workspace_id = e.workspace_id and r.id = e.id
          -- The limit keeps this an index lookup for each row, whatever the planner estimates.
          left join lateral (select p.id from run p
            where p.workspace_id = r.workspace_id and p.id = r.parent_id limit 1) q on true
      ), gone_tasks as (
        delete from task_run t using picked p where ${ofPicked("t", "run_id")}
        returning ${columns(taskRun, "t")}, p.ended_at as run_ended_at
      ), gone_attempts as (
        delete from attempt a using picked p where ${ofPicked("a", "run_id")}
        returning ${columns(attempt, "a")}, p.ended_at as run_ended_at
      ), gone_runs as (
        delete from run r using picked p where ${ofPicked("r", "id")}
        returning ${columns(run, "r")}
      ), kept_tasks as (
        insert into task_run_history (${columnNames(taskRun)}, run_ended_at) select * from gone_tasks
      ), kept_attempts as (
        insert into attempt_history (${columnNames(attempt)}, run_ended_at) select * from gone_attempts
      ), kept_runs as (
        insert into run_history (${columnNames(run)}) select * from gone_runs
      ), noted as (
        update run_key k set ended_at = p.ended_at, parent_id = p.parent_id, outcome = p.outcome from picked p
        where ${ofPicked("k", "run_id")}
      )
      select 1`,
  );
}
