import type { AttemptState } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  type Clock,
  columns,
  now,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
  type Which,
} from "../../kernel/index.ts";
import { archivedAt, type RunName } from "../history/find.ts";
import { outcomeWithoutResult } from "../history/kept-children.ts";
import { runColumns } from "../moves/run-columns.ts";
import { type AttemptRow, attempt, type TaskRunRow, taskRun } from "../table.ts";

/** A live attempt by its id, without a lock. Primary key. */
export async function findAttempt(
  from: Queryable,
  args: { workspaceId: string; attemptId: string },
): Promise<AttemptRow | null> {
  const [raw] = await rows<RawRow>(
    from,
    sql`select ${columns(attempt, "a")} from attempt a
      where a.workspace_id = ${args.workspaceId} and a.id = ${args.attemptId}`,
  );
  return raw === undefined ? null : rowOf(attempt, raw);
}

/** The states of attempts by their ids, live and archived. Primary keys. */
export async function listAttemptStates(
  from: Queryable,
  args: { workspaceId: string; attemptIds: readonly string[] },
): Promise<Map<string, AttemptState>> {
  const where = sql`workspace_id = ${args.workspaceId} and id = any(${textArray(args.attemptIds)}::uuid[])`;
  const found = await rows<{ id: string; state: AttemptState }>(
    from,
    sql`select id, state from attempt where ${where} union all select id, state from attempt_history where ${where}`,
  );
  return new Map(found.map(({ id, state }) => [id, state]));
}

/** Whether a row says something that a later attempt goes on from, as SQL over an alias of task_run. */
const isLeft = (alias: string): SQL => {
  const row = sql.identifier(alias);
  return sql`(${row}.state = 'completed' and (${row}.kind = 'kept' or ${row}.result is not null)
    or ${row}.state = 'failed' and ${row}.code_version is not null)`;
};

/**
 * The completed calls, kept values and failed calls of a run's attempts before one attempt, in the order of attempt and
 * appearance. Indexes task_run_order, task_run_history_order.
 */
export async function listCheckpointRows(
  from: Queryable,
  args: RunName & { before: number; limit: number; after: { attempt: number; ord: number } },
): Promise<TaskRunRow[]> {
  const where = sql`t.workspace_id = ${args.workspaceId} and t.run_id = ${args.runId} and ${isLeft("t")}
    and t.attempt < ${args.before} and (t.attempt, t.ord) > (${args.after.attempt}::integer, ${args.after.ord}::bigint)`;
  const raws = await rows<RawRow>(
    from,
    sql`(select ${columns(taskRun, "t")} from task_run t where ${where}
        order by t.attempt, t.ord limit ${args.limit})
      union all
      (select ${columns(taskRun, "t")} from task_run_history t where ${where} and t.run_ended_at = ${archivedAt(args)}
        order by t.attempt, t.ord limit ${args.limit})
      order by attempt, ord limit ${args.limit}`,
  );
  return raws.map((raw) => rowOf(taskRun, raw));
}

/**
 * The last attempt of a live run that has a checkpoint under each of these paths. Paths of the first attempt alone are missing.
 * It is a statement of its own: as a condition of the list, stale statistics made the planner compare every row with every
 * other. Index task_run_later, which has no rows of first attempts.
 */
export async function listLatestAttempts(
  from: Queryable,
  args: RunName & { before: number; pathKeys: readonly Uint8Array[] },
): Promise<Map<string, number>> {
  const hex = args.pathKeys.map((key) => Buffer.from(key).toString("hex"));
  const found = await rows<{ key: string; attempt: number }>(
    from,
    sql`select encode(l.path_key, 'hex') as key, max(l.attempt) as attempt from task_run l
      where l.workspace_id = ${args.workspaceId} and l.run_id = ${args.runId} and l.attempt > 1 and l.attempt < ${args.before}
        and l.path_key = any(array(select decode(key, 'hex') from unnest(${textArray(hex)}::text[]) as keys (key)))
        and ${isLeft("l")}
      group by l.path_key`,
  );
  return new Map(found.map(({ key, attempt }) => [key, attempt]));
}

/**
 * Deletes the refs of a run's checkpoints and of its result, and stores when. The run is live or archived. The caller holds the
 * lock of a live run, so that it is not archived meanwhile. Indexes task_run_order, task_run_history_order, primary keys of run,
 * run_history and run_key.
 * @returns How many refs there were.
 */
export async function deleteRefs(tx: Tx, clock: Clock, args: RunName): Promise<number> {
  const mine = sql`workspace_id = ${args.workspaceId} and run_id = ${args.runId}`;
  const self = sql`workspace_id = ${args.workspaceId} and id = ${args.runId}`;
  const mark = sql`set result = null, checkpoints_deleted_at = coalesce(checkpoints_deleted_at, ${now(clock)})`;
  const [deleted] = await rows<{ count: number }>(
    tx,
    sql`with live as (
        update task_run set result = null where ${mine} and kind = 'task' and result is not null returning 1
      ), past as (
        update task_run_history set result = null
        where ${mine} and run_ended_at = ${archivedAt(args)} and kind = 'task' and result is not null returning 1
      ), live_kept as (delete from task_run where ${mine} and kind = 'kept' returning 1
      ), past_kept as (
        delete from task_run_history where ${mine} and run_ended_at = ${archivedAt(args)} and kind = 'kept' returning 1
      ), child as (update run_key set outcome = ${outcomeWithoutResult} where ${mine} and outcome is not null
      ), live_run as (update run ${mark} where ${self}
      ), past_run as (update run_history ${mark} where ${self} and ended_at = ${archivedAt(args)})
      select (select count(*) from live)::int + (select count(*) from past)::int
        + (select count(*) from live_kept)::int + (select count(*) from past_kept)::int as count`,
  );
  return deleted?.count ?? 0;
}

/** The most runs whose refs one round deletes. */
export const DELETE_REFS_BATCH = 100;

/** Runs that ended before a time and still have refs, oldest first. Index run_history_with_checkpoints. */
export function listWithRefs(
  from: Queryable,
  clock: Clock,
  args: Which & { retentionMs: number },
): Promise<{ workspaceId: string; id: string }[]> {
  return rows(
    from,
    sql`select r.workspace_id as "workspaceId", r.id from run_history r
      where r.checkpoints_deleted_at is null and r.ended_at < ${now(clock)} - make_interval(secs => ${args.retentionMs / 1000})
        and ${args.among(runColumns)}
      order by r.ended_at limit ${args.limit}`,
  );
}
