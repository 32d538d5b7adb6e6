import { FAILURE_GROUPS_MAX, type RunState, type TaskRun } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { columns, instantOrNull, type Queryable, type RawRow, rowOf, rows } from "../../kernel/index.ts";
import { archivedAt, type RunName } from "../history/find.ts";
import { type RunRow, taskRun } from "../table.ts";
import { taskRunOf } from "../tasks/wire.ts";

/** The parts in which similar messages differ: quoted values, ids and numbers. Only the first characters are compared. */
const VARYING = `"[^"]{0,200}"|'[^']{0,200}'|[0-9a-f]{8,}|[0-9]+`;
const COMPARED_CHARS = 500;

/** The failed calls of an attempt, live or archived. Indexes task_run_order, task_run_history_order. */
function failedOf(args: RunName & { attempt: number }): SQL {
  const where = sql`t.workspace_id = ${args.workspaceId} and t.run_id = ${args.runId} and t.attempt = ${args.attempt}
    and t.kind = 'task' and t.state = 'failed' and t.error is not null`;
  return sql`select ${columns(taskRun, "t")} from task_run t where ${where}
    union all
    select ${columns(taskRun, "t")} from task_run_history t where ${where} and t.run_ended_at = ${archivedAt(args)}`;
}

/** Failed calls of one task with similar errors. */
interface FailedGroup {
  readonly calls: number;
  /** How many failed in all groups, including groups that are not listed. */
  readonly failedCalls: number;
  readonly first: TaskRun;
}

/** The failed calls of an attempt, grouped by similar errors, the largest group first. */
async function listFailedGroups(
  from: Queryable,
  args: RunName & { attempt: number },
): Promise<FailedGroup[]> {
  const raws = await rows<RawRow & { calls: number; failed_calls: number }>(
    from,
    sql`with failed as materialized (${failedOf(args)}), alike as (
        select min(ord) as ord, count(*)::int as calls, sum(count(*)) over ()::int as failed_calls
        from failed
        group by name, error ->> 'name',
          regexp_replace(left(error ->> 'message', ${COMPARED_CHARS}), ${VARYING}, '…', 'gi')
        order by count(*) desc, min(ord) limit ${FAILURE_GROUPS_MAX}
      )
      select t.*, g.calls, g.failed_calls from alike g join failed t on t.ord = g.ord order by g.calls desc, g.ord`,
  );
  return raws.map((raw) => ({
    calls: raw.calls,
    failedCalls: raw.failed_calls,
    first: taskRunOf(rowOf(taskRun, raw)),
  }));
}

/**
 * The innermost failed call that explains a run's error: its message is the error's message or part of the error's text,
 * such as a cause. Of several calls, the first that ended.
 */
async function findFailedTask(
  from: Queryable,
  args: RunName & { attempt: number; message: string; text: string },
): Promise<TaskRun | null> {
  const [raw] = await rows<RawRow>(
    from,
    sql`select t.* from (${failedOf(args)}) t
      where t.error ->> 'message' <> '' and strpos(${args.text}, t.error ->> 'message') > 0
      order by t.error ->> 'message' = ${args.message} desc,
        length(t.path) - length(replace(t.path, '/', '')) desc, t.ended_at, t.ord limit 1`,
  );
  return raw === undefined ? null : taskRunOf(rowOf(taskRun, raw));
}

/** The outcomes of earlier runs of a deployment. */
interface Neighbours {
  readonly lastCompleted: { readonly id: string; readonly version: number; readonly endedAt: Date } | null;
  readonly failingSince: { readonly id: string; readonly state: RunState; readonly createdAt: Date } | null;
}

type Neighbour = Pick<RunRow, "id" | "version" | "state"> & { created_at: string; ended_at: string };

/** The last completed run of a deployment before a run, and the first failed one after it. Index run_history_deployment, run_newest. */
async function listNeighbours(from: Queryable, run: RunRow): Promise<Neighbours> {
  const { workspaceId, deployment, createdAt } = run;
  const oneOf = async (states: SQL, args: { between: SQL; order: SQL }) => {
    const of = (table: SQL) => sql`(select r.id, r.version, r.state, r.created_at, r.ended_at from ${table} r
      where r.workspace_id = ${workspaceId} and r.deployment = ${deployment} and ${states} and ${args.between}
        and r.id <> ${run.id} order by r.created_at ${args.order} limit 1)`;
    const [found] = await rows<Neighbour>(
      from,
      sql`select * from (${of(sql`run`)} union all ${of(sql`run_history`)}) r order by r.created_at ${args.order} limit 1`,
    );
    return found;
  };
  const at = createdAt.toISOString();
  const good = await oneOf(sql`r.state = 'completed'`, {
    between: sql`r.created_at <= ${at}`,
    order: sql`desc`,
  });
  if (good === undefined) return { lastCompleted: null, failingSince: null };
  const bad = await oneOf(sql`r.state in ('failed', 'crashed')`, {
    between: sql`r.created_at <= ${at} and r.created_at > ${good.created_at}`,
    order: sql`asc`,
  });
  return {
    lastCompleted: { id: good.id, version: good.version, endedAt: instantOf(good.ended_at) },
    failingSince:
      bad === undefined ? null : { id: bad.id, state: bad.state, createdAt: instantOf(bad.created_at) },
  };
}

/** Facts about a run's failure: failed calls of its latest attempt, and the runs before and after. */
export interface FailureFacts extends Neighbours {
  readonly groups: readonly FailedGroup[];
  /** The call that explains the run's error. Null: none is found. */
  readonly task: TaskRun | null;
}

/** Reads the facts about a run's failure. `text` is its error with those of its causes. */
export async function readFailure(from: Queryable, run: RunRow, text: string): Promise<FailureFacts> {
  const attempt = { workspaceId: run.workspaceId, runId: run.id, attempt: run.attempts };
  const groups = await listFailedGroups(from, attempt);
  const { error } = run;
  const task =
    error === null || groups.length === 0
      ? null
      : await findFailedTask(from, { ...attempt, message: error.message, text });
  return { groups, task, ...(await listNeighbours(from, run)) };
}

/** An instant that is never null. */
function instantOf(text: string): Date {
  return instantOrNull(text) ?? new Date(0);
}
