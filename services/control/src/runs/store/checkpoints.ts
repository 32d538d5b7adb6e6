import { sql } from "drizzle-orm";
import type { Queryable } from "../../kernel/index.ts";
import { type AttemptRow, attempt, type TaskRunRow, taskRun } from "../table.ts";
import { archivedAt, type RunName } from "./read.ts";
import { columns, type RawRow, rowOf, rows } from "./rows.ts";

/** A live attempt by its id, without a lock. Primary key. */
export async function findAttempt(
  from: Queryable,
  a: { workspaceId: string; attemptId: string },
): Promise<AttemptRow | null> {
  const [raw] = await rows<RawRow>(
    from,
    sql`select ${columns(attempt, "a")} from attempt a
      where a.workspace_id = ${a.workspaceId} and a.id = ${a.attemptId}`,
  );
  return raw === undefined ? null : rowOf(attempt, raw);
}

/**
 * What attempts of a run before one have completed or kept, by attempt and appearance: results that are in a store, and
 * values that were kept beside them. Indexes task_run_order, task_run_history_order.
 */
export async function listCheckpointRows(
  from: Queryable,
  a: RunName & { before: number; limit: number; after: { attempt: number; ord: number } },
): Promise<TaskRunRow[]> {
  const where = sql`t.workspace_id = ${a.workspaceId} and t.run_id = ${a.runId} and t.state = 'completed'
    and (t.kind = 'kept' or t.result is not null) and t.attempt < ${a.before}
    and (t.attempt, t.ord) > (${a.after.attempt}::integer, ${a.after.ord}::bigint)`;
  const raws = await rows<RawRow>(
    from,
    sql`(select ${columns(taskRun, "t")} from task_run t where ${where} order by t.attempt, t.ord limit ${a.limit})
      union all
      (select ${columns(taskRun, "t")} from task_run_history t where ${where} and t.run_ended_at = ${archivedAt(a)}
        order by t.attempt, t.ord limit ${a.limit})
      order by attempt, ord limit ${a.limit}`,
  );
  return raws.map((raw) => rowOf(taskRun, raw));
}
