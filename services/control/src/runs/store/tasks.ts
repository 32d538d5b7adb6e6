import { sql } from "drizzle-orm";
import type { Tx } from "../../kernel/index.ts";
import { type TaskRunRow, taskRun } from "../table.ts";
import { columns, type RawRow, rowOf, rows, textArray } from "./rows.ts";

/** Task runs of an attempt by the keys of their paths. Primary key. */
export async function findTaskRuns(
  tx: Tx,
  a: { attemptId: string; pathKeys: readonly Uint8Array[] },
): Promise<TaskRunRow[]> {
  const raws = await rows<RawRow>(
    tx,
    sql`select ${columns(taskRun, "t")} from task_run t
      where t.attempt_id = ${a.attemptId} and t.path_key = any(array(
        select decode(hex, 'hex') from unnest(${textArray(a.pathKeys.map(hex))}::text[]) as keys (hex)))`,
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
        try_list, kind, code_version, input_hash, error, result, created_at, started_at, ended_at)
      select n."attemptId", decode(n."pathKey", 'hex'), n."workspaceId", n."runId", n.attempt, n.ord, n.path, n.name,
        n.state, n.tries, n."tryList", n.kind, n."codeVersion", n."inputHash", n.error, n.result, n."createdAt", n."startedAt", n."endedAt"
      from json_to_recordset(${JSON.stringify(stored)}::json) as n ("attemptId" uuid, "pathKey" text,
        "workspaceId" uuid, "runId" uuid, attempt integer, ord bigint, path text, name text, state text, tries bigint,
        "tryList" json, kind text, "codeVersion" text, "inputHash" text, error json, result json, "createdAt" timestamptz, "startedAt" timestamptz, "endedAt" timestamptz)
      on conflict (attempt_id, path_key) do update set state = excluded.state, tries = excluded.tries,
        try_list = excluded.try_list, code_version = excluded.code_version, input_hash = excluded.input_hash, error = excluded.error, result = excluded.result, started_at = excluded.started_at, ended_at = excluded.ended_at`,
  );
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
