import { type SQL, sql } from "drizzle-orm";
import { type Clock, now, type Tx } from "../../kernel/index.ts";
import { attempt, run, taskRun } from "../table.ts";
import { columnNames, columns, rows } from "./rows.ts";

/** The most runs that one round moves. */
export const ARCHIVE_BATCH = 200;

/** Rows of the picked runs. The arrays keep it an index scan, however much history there is; the join pairs them up. */
const ofPicked = (alias: string, runId: string): SQL => {
  const column = (name: string) => sql`${sql.identifier(alias)}.${sql.identifier(name)}`;
  return sql`${column("workspace_id")} = p.workspace_id and ${column(runId)} = p.id
    and ${column("workspace_id")} = any(array(select distinct workspace_id from picked))
    and ${column(runId)} = any(array(select id from picked))`;
};

/** Milliseconds until the first run that ended is to be archived, or null. Index run_ended. */
export function untilArchived(clock: Clock, a: { afterMs: number }): SQL {
  return sql`select extract(epoch from min(ended_at) - ${now(clock)}) * 1000 + ${a.afterMs}::float8
    from run where ended_at is not null`;
}

/**
 * Moves runs that ended a while ago to history, with their attempts and task runs, and notes in `run_key` where they
 * went. One statement, so that a reader's statement sees each run on one side. Skips runs that somebody holds.
 * Indexes run_ended, attempt (workspace_id, run_id, ordinal), task_run_order, primary key of run_key. Measured beside
 * 100,000 archived runs (Postgres 18, 2 busy cores): 200 runs in 13 ms; joins without the arrays walked all of run_key.
 * @returns How many runs moved.
 */
export async function archiveEnded(tx: Tx, clock: Clock, a: { afterMs: number }): Promise<number> {
  const [moved] = await rows<{ count: number }>(
    tx,
    sql`with picked as materialized (
        select workspace_id, id, ended_at from run
        where ended_at < ${now(clock)} - make_interval(secs => ${a.afterMs / 1000})
        order by ended_at limit ${ARCHIVE_BATCH} for update skip locked
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
        update run_key k set ended_at = p.ended_at from picked p
        where ${ofPicked("k", "run_id")}
      )
      select count(*)::int as count from picked`,
  );
  return moved?.count ?? 0;
}
