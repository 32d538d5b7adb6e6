import type { AttemptState, Cause, Ref, RunError, RunState } from "@towpath/contract";
import { sql } from "#sql";
import {
  type Clock,
  columns,
  now,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
} from "../../kernel/index.ts";
import { type AttemptRow, attempt, type RunRow, run } from "../table.ts";
import { insertRunChanges } from "./changes.ts";

/** An attempt's end, decided. */
export interface AttemptEnd {
  readonly id: string;
  readonly from: readonly AttemptState[];
  readonly to: AttemptState;
  readonly cause: Cause | null;
  readonly exitCode: number | null;
  readonly lastBulkSeq: number | null;
  /** The control record that told of it. Null: nobody's did. */
  readonly seq: number | null;
}

/**
 * Ends attempts, each in its way, in one statement. Those that are not in `from` are missing in the result.
 * Primary key of attempt, which the array asks for: a join alone is planned for a hundred rows, and walked the whole
 * table at 3.6 ms a time, with 8,000 live attempts and planned anew at each call.
 */
export async function saveAttemptEnds(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; ends: readonly AttemptEnd[] },
): Promise<AttemptRow[]> {
  const raws = await rows<RawRow>(
    tx,
    sql`update attempt t set state = e."to", cause = e.cause, exit_code = e."exitCode", last_bulk_seq = e."lastBulkSeq",
        control_acked = coalesce(e.seq, t.control_acked), lease_expires_at = null, ended_at = greatest(${now(clock)}, t.started_at)
      from json_to_recordset(${JSON.stringify(args.ends)}::json)
        as e (id uuid, "from" text[], "to" text, cause text, "exitCode" bigint, "lastBulkSeq" bigint, seq bigint)
      where t.id = any(${textArray(args.ends.map((end) => end.id))}::uuid[]) and t.id = e.id and t.workspace_id = ${args.workspaceId} and t.state = any(e."from")
      returning ${columns(attempt, "t")}`,
  );
  return raws.map((raw) => rowOf(attempt, raw));
}

/** What the end of its attempt means for a run, decided. */
export interface RunEnd {
  readonly id: string;
  readonly from: readonly RunState[];
  readonly to: RunState;
  readonly cause: Cause | null;
  readonly error: RunError | null;
  readonly result: Ref | null;
  /** Whether that is its end for good. */
  readonly ends: boolean;
  /** It goes on after this delay. Null: it keeps its place. */
  readonly againMs: number | null;
  readonly spends: boolean;
}

/**
 * Ends runs, or puts them off until their next attempt, and writes the changes of it, in one statement; missing as in
 * `saveAttemptEnds`. The caller wakes the sequencer.
 */
export async function saveRunEnds(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; ends: readonly RunEnd[] },
): Promise<RunRow[]> {
  const raws = await rows<RawRow>(
    tx,
    sql`with moved as (
      update run r set state = e."to", cause = e.cause, error = e.error, result = e.result,
        ended_at = case when e.ends then ${now(clock)} end,
        due_at = case when e."againMs" is null then r.due_at
          else ${now(clock)} + make_interval(secs => e."againMs" / 1000.0) end,
        retries = r.retries + e.spends::int
      from json_to_recordset(${JSON.stringify(args.ends)}::json) as e (id uuid, "from" text[], "to" text, cause text,
        error json, result json, ends boolean, "againMs" bigint, spends boolean)
      where r.workspace_id = ${args.workspaceId} and r.id = any(${textArray(args.ends.map((end) => end.id))}::uuid[])
        and r.id = e.id and r.state = any(e."from")
      returning r.*
      ), changes as (${insertRunChanges(sql`moved`)})
      select ${columns(run, "m")} from moved m`,
  );
  return raws.map((raw) => rowOf(run, raw));
}
