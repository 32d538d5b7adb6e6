import { type SQL, sql } from "#sql";
import { type Queryable, rows } from "../kernel/index.ts";

/** A run by its tenant and id. */
interface RunName {
  readonly workspaceId: string;
  readonly runId: string;
}

/** Rows of one kind: their number, their size in bytes, the first and last instant, and how many have each field. */
export interface Kept {
  readonly records: number;
  readonly bytes: number;
  readonly firstAt: string | null;
  readonly lastAt: string | null;
  readonly having: { readonly [field: string]: number };
}

const instant = (at: SQL): SQL => sql`to_char(${at} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const size = (...columns: SQL[]): SQL =>
  sql`coalesce(sum(${sql.join(
    columns.map((column) => sql`coalesce(octet_length(${column}::text), 0)`),
    sql` + `,
  )}), 0)::float8`;
const ofRun = (args: RunName): SQL => sql`workspace_id = ${args.workspaceId} and run_id = ${args.runId}`;
const archivedAt = (args: RunName): SQL => sql`(select ended_at from run_key where ${ofRun(args)})`;

async function one(from: Queryable, query: SQL): Promise<Kept> {
  const [found] = await rows<Kept>(from, query);
  return found ?? { records: 0, bytes: 0, firstAt: null, lastAt: null, having: {} };
}

/** Task calls of a run, or values kept beside them. Indexes task_run_order, task_run_history_order. */
export function tasksKept(from: Queryable, args: RunName & { kind: "task" | "kept" }): Promise<Kept> {
  const fields = sql`path, name, error, result, code_version, input_hash, data_time, upstream, created_at, started_at, ended_at`;
  const where = sql`${ofRun(args)} and kind = ${args.kind}`;
  return one(
    from,
    sql`select count(*)::int as records,
        ${size(sql`path`, sql`name`, sql`error`, sql`result`, sql`code_version`, sql`input_hash`, sql`data_time`, sql`upstream`)} as bytes,
        ${instant(sql`min(created_at)`)} as "firstAt",
        ${instant(sql`max(coalesce(ended_at, started_at, created_at))`)} as "lastAt",
        json_build_object('codeVersion', count(code_version), 'inputHash', count(input_hash), 'dataTime', count(data_time), 'upstream', count(upstream), 'error', count(error),
          'error.stack', count(error ->> 'stack'), 'result', count(result)) as having
      from (select ${fields} from task_run where ${where}
        union all select ${fields} from task_run_history where ${where} and run_ended_at = ${archivedAt(args)}) t`,
  );
}

/** Lines of a run's log, or the gaps in it, by its attempts. Primary key of the chunks' partitions. */
export function linesKept(from: Queryable, args: RunName & { kind: "line" | "gap" }): Promise<Kept> {
  const lines = args.kind === "line" ? sql`coalesce(sum(line_count), 0)` : sql`count(*)`;
  return one(
    from,
    sql`select ${lines}::int as records, coalesce(sum(size_bytes), 0)::float8 as bytes,
        ${instant(sql`min(received_at)`)} as "firstAt", ${instant(sql`max(received_at)`)} as "lastAt",
        json_build_object('stored', coalesce(sum(line_count) filter (where stored is not null), 0)::int) as having
      from log_chunk where workspace_id = ${args.workspaceId} and kind = ${args.kind} and attempt_id = any(array(
        select id from attempt where ${ofRun(args)}
        union all select id from attempt_history where ${ofRun(args)} and run_ended_at = ${archivedAt(args)}))`,
  );
}

/** Artifacts of a run: the latest body under each key. Index artifact_run. */
export function artifactsKept(from: Queryable, args: RunName): Promise<Kept> {
  return one(
    from,
    sql`select count(*)::int as records, ${size(sql`key`, sql`title`, sql`task`, sql`body`)} as bytes,
        ${instant(sql`min(updated_at)`)} as "firstAt", ${instant(sql`max(updated_at)`)} as "lastAt",
        json_build_object('task', count(task)) as having
      from artifact where ${ofRun(args)}`,
  );
}

/** Ends of a run's attempts, with the run's error and result for the last one. */
export function endsKept(from: Queryable, args: RunName): Promise<Kept> {
  const fields = sql`cause, exit_code, last_bulk_seq, ended_at`;
  const end = sql`${ofRun(args)} and last_bulk_seq is not null`;
  return one(
    from,
    sql`select count(*)::int as records, ${size(sql`r.error`, sql`r.result`)} as bytes,
        ${instant(sql`min(t.ended_at)`)} as "firstAt", ${instant(sql`max(t.ended_at)`)} as "lastAt",
        json_build_object('cause', count(t.cause), 'exitCode', count(t.exit_code),
          'error', count(r.error), 'error.stack', count(r.error ->> 'stack'), 'result', count(r.result)) as having
      from (select ${fields}, row_number() over (order by ended_at desc) as nth from (
          select ${fields} from attempt where ${end}
          union all select ${fields} from attempt_history where ${end} and run_ended_at = ${archivedAt(args)}) e) t
        left join lateral (
          select error, result from run where workspace_id = ${args.workspaceId} and id = ${args.runId}
          union all select error, result from run_history
            where workspace_id = ${args.workspaceId} and id = ${args.runId} and ended_at = ${archivedAt(args)}) r on t.nth = 1`,
  );
}

/** How many records of a run's attempts are acknowledged or late, and the workers that sent them. */
export async function reportsOf(
  from: Queryable,
  args: RunName,
): Promise<{ control: number; bulk: number; late: number; workers: string[] }> {
  const fields = sql`id, control_acked, bulk_acked, worker_name`;
  const [found] = await rows<{ control: number; bulk: number; late: number; workers: string[] }>(
    from,
    sql`with attempts as materialized (select ${fields} from attempt where ${ofRun(args)}
        union all select ${fields} from attempt_history where ${ofRun(args)} and run_ended_at = ${archivedAt(args)})
      select coalesce(sum(control_acked), 0)::float8 as control, coalesce(sum(bulk_acked), 0)::float8 as bulk,
        (select coalesce(sum(records), 0)::float8 from late_report
          where workspace_id = ${args.workspaceId} and attempt_id = any(array(select id from attempts))) as late,
        coalesce(json_agg(distinct worker_name) filter (where worker_name is not null), '[]') as workers
      from attempts`,
  );
  return found ?? { control: 0, bulk: 0, late: 0, workers: [] };
}
