import { Problem } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { columns, type Queryable, type RawRow, rowOf, rows, type Tx } from "../../kernel/index.ts";
import { type AttemptRow, attempt, type RunRow, run, type TaskRunRow, taskRun } from "../table.ts";

/** A run by its tenant and id. */
export interface RunName {
  readonly workspaceId: string;
  readonly runId: string;
}

/** When an archived run ended, which names its only partition. Null while it is live. */
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

/** Keeps a run, live or archived, from being removed until the transaction ends. @returns false if there is none. */
export async function holdRun(tx: Tx, args: RunName): Promise<boolean> {
  const where = sql`workspace_id = ${args.workspaceId} and id = ${args.runId}`;
  const live = await rows(tx, sql`select 1 from run where ${where} for key share`);
  if (live.length > 0) return true;
  const archived = await rows(
    tx,
    sql`select 1 from run_history where ${where} and ended_at = ${archivedAt(args)} for key share`,
  );
  return archived.length > 0;
}

/** Whether the id of a run is or was taken, within the retention of history. Primary key of run_key. */
export async function isTaken(from: Queryable, args: RunName): Promise<boolean> {
  const found = await rows(
    from,
    sql`select 1 from run_key where workspace_id = ${args.workspaceId} and run_id = ${args.runId}`,
  );
  return found.length > 0;
}

/** A run's row. @throws Problem `run-not-found`, also for another workspace's run. */
export async function existingRun(
  from: Queryable,
  args: { workspaceId: string; runId: string },
): Promise<RunRow> {
  const row = await findRun(from, args);
  if (row !== null) return row;
  const isRemoved = await isTaken(from, args);
  throw new Problem(
    "run-not-found",
    isRemoved ? `Run ${args.runId} was removed.` : `There is no run ${args.runId}.`,
  );
}
