import type { Fence } from "@towpath/contract";
import { sql } from "#sql";
import {
  after,
  type Clock,
  columns,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
} from "../../kernel/index.ts";
import { type TaskRunRow, taskRun } from "../table.ts";
import { taskRunOf } from "./wire.ts";

/** Task runs of an attempt by the keys of their paths. Primary key. */
export async function findTaskRuns(
  tx: Tx,
  args: { attemptId: string; pathKeys: readonly Uint8Array[] },
): Promise<TaskRunRow[]> {
  const raws = await rows<RawRow>(
    tx,
    sql`select ${columns(taskRun, "t")} from task_run t
      where t.attempt_id = ${args.attemptId} and t.path_key = any(array(
        select decode(hex, 'hex') from unnest(${textArray(args.pathKeys.map(hex))}::text[]) as keys (hex)))`,
  );
  return raws.map((raw) => rowOf(taskRun, raw));
}

/** Stores task runs as they are now: one statement for all that one report touched. */
export async function saveTaskRuns(tx: Tx, touched: readonly TaskRunRow[]): Promise<void> {
  if (touched.length === 0) return;
  const stored = touched.map((row) => ({ ...row, pathKey: hex(row.pathKey) }));
  await rows(
    tx,
    sql`insert into task_run as t (attempt_id, path_key, workspace_id, run_id, attempt, ord, path, name, state, tries,
        try_list, kind, code_version, input_hash, fatal, error, result, data_time, upstream, created_at, started_at, ended_at)
      select n."attemptId", decode(n."pathKey", 'hex'), n."workspaceId", n."runId", n.attempt, n.ord, n.path, n.name,
        n.state, n.tries, n."tryList", n.kind, n."codeVersion", n."inputHash", n.fatal, n.error, n.result, n."dataTime", n.upstream, n."createdAt", n."startedAt", n."endedAt"
      from json_to_recordset(${JSON.stringify(stored)}::json) as n ("attemptId" uuid, "pathKey" text,
        "workspaceId" uuid, "runId" uuid, attempt integer, ord bigint, path text, name text, state text, tries bigint,
        "tryList" json, kind text, "codeVersion" text, "inputHash" text, fatal boolean, error json, result json, "dataTime" json, upstream json, "createdAt" timestamptz, "startedAt" timestamptz, "endedAt" timestamptz)
      on conflict (attempt_id, path_key) do update set state = excluded.state, tries = excluded.tries,
        try_list = excluded.try_list, code_version = excluded.code_version, input_hash = excluded.input_hash, fatal = excluded.fatal, error = excluded.error, result = excluded.result, data_time = excluded.data_time, upstream = excluded.upstream, started_at = excluded.started_at, ended_at = excluded.ended_at`,
  );
}

/** An attempt that ended, and the task calls that it failed by; null: it may be any that failed. */
export interface FailedAttempt {
  readonly attemptId: string;
  readonly failedBy: readonly string[] | null;
}

/**
 * Stores for failed calls whether their attempts failed by them. An entry that ends with "/" names all calls directly below it.
 * The column stays null until then: an earlier release does not write it, and null must not mean "not fatal". Primary key.
 */
export async function noteFatal(
  tx: Tx,
  args: { workspaceId: string; failed: readonly FailedAttempt[] },
): Promise<void> {
  if (args.failed.length === 0) return;
  await rows(
    tx,
    sql`update task_run t set fatal = f."failedBy" is null
          or t.path in (select json_array_elements_text(f."failedBy"))
          or coalesce(nullif(regexp_replace(t.path, '[^/]*$', ''), ''), '/') in (select json_array_elements_text(f."failedBy"))
      from json_to_recordset(${JSON.stringify(args.failed)}::json) as f ("attemptId" uuid, "failedBy" json)
      where t.attempt_id = any(${textArray(args.failed.map(({ attemptId }) => attemptId))}::uuid[])
        and t.workspace_id = ${args.workspaceId} and t.attempt_id = f."attemptId"
        and t.state = 'failed' and t.code_version is not null and t.fatal is not true`,
  );
}

/**
 * Stores new task runs of an attempt, their changes, and the attempt's progress, in one statement. It stores nothing unless the
 * attempt is running, the fence is the current one, and `firstSeq` is the next sequence. It locks the attempt, as every write of
 * its task runs does. A faster report of the same records has already raised `control_acked`.
 * @returns the attempt's last bulk sequence, or null if nothing was stored.
 */
export async function storeCalls(
  from: Queryable,
  clock: Clock,
  args: {
    workspaceId: string;
    leaseMs: number;
    fence: Fence & { readonly workerId: string };
    rows: readonly TaskRunRow[];
    firstSeq: number;
    lastSeq: number;
  },
): Promise<number | null> {
  const { attemptId, epoch, nonce, workerId } = args.fence;
  const stored = args.rows.map((row) => ({ ...row, pathKey: hex(row.pathKey), changes: taskRunOf(row) }));
  const [moved] = await rows<{ bulkAcked: string }>(
    from,
    sql`with calls as materialized (
        select decode(n."pathKey", 'hex') as path_key, n.* from json_to_recordset(${JSON.stringify(stored)}::json) as n (
          "pathKey" text, ord bigint, path text, name text, state text, tries bigint, "tryList" json, kind text,
          "codeVersion" text, "inputHash" text, fatal boolean, error json, result json, "dataTime" json, upstream json, "createdAt" timestamptz, "startedAt" timestamptz,
          "endedAt" timestamptz, changes jsonb)),
      held as materialized (
        select a.id, a.run_id, a.ordinal from attempt a
        where a.workspace_id = ${args.workspaceId} and a.id = ${attemptId} and a.epoch = ${epoch} and a.nonce = ${nonce}
          and a.worker_id = ${workerId} and a.state = 'running' and a.control_acked = ${args.firstSeq - 1}
          and not exists (select from task_run t where t.attempt_id = ${attemptId}
            and t.path_key = any(array(select path_key from calls)))
        for update),
      kept as (
        insert into task_run (attempt_id, path_key, workspace_id, run_id, attempt, ord, path, name, state, tries, try_list,
          kind, code_version, input_hash, fatal, error, result, data_time, upstream, created_at, started_at, ended_at)
        select h.id, c.path_key, ${args.workspaceId}::uuid, h.run_id, h.ordinal, c.ord, c.path, c.name, c.state, c.tries, c."tryList",
          c.kind, c."codeVersion", c."inputHash", c.fatal, c.error, c.result, c."dataTime", c.upstream, c."createdAt", c."startedAt", c."endedAt"
        from held h cross join calls c),
      told as (
        insert into change (workspace_id, kind, run_id, entity_id, data)
        select ${args.workspaceId}::uuid, 'task', h.run_id, h.id, c.changes from held h cross join calls c)
      update attempt t set control_acked = ${args.lastSeq}, lease_expires_at = greatest(t.lease_expires_at, ${after(clock, args.leaseMs)})
      from held h where t.id = h.id returning t.bulk_acked as "bulkAcked"`,
  );
  return moved === undefined ? null : Number(moved.bulkAcked);
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
