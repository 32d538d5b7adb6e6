import { RUN_TRANSITIONS } from "@towpath/contract";
import { type SQL, sql } from "drizzle-orm";
import { type Clock, now, type Tx } from "../../kernel/index.ts";
import { type RunRow, run } from "../table.ts";
import { columns, type RawRow, rowOf, rows, textArray } from "./rows.ts";

/** The most runs that one round makes ready. */
export const DUE_BATCH = 200;

/** Milliseconds until the first scheduled run is due, or null. Index run_due. */
export function untilDue(clock: Clock): SQL {
  return sql`select extract(epoch from min(due_at) - ${now(clock)}) * 1000 from run where state = 'scheduled'`;
}

/** Locks scheduled runs that are due, first due first; skips what somebody else holds. Index run_due. */
export function lockDue(tx: Tx, clock: Clock): Promise<{ workspaceId: string; id: string }[]> {
  return rows<{ workspaceId: string; id: string }>(
    tx,
    sql`select workspace_id as "workspaceId", id from run
      where state = 'scheduled' and due_at <= ${now(clock)}
      order by due_at limit ${DUE_BATCH} for update skip locked`,
  );
}

/** Moves locked runs along `due` to ready, each pointing at its next attempt. One statement for all. */
export async function makeReady(
  tx: Tx,
  due: readonly { workspaceId: string; id: string; attemptId: string }[],
): Promise<RunRow[]> {
  const [ready] = RUN_TRANSITIONS.due.to;
  const raws = await rows<RawRow>(
    tx,
    sql`update run r set state = ${ready}, attempt_id = d.attempt_id, attempts = r.attempts + 1
      from unnest(${textArray(due.map((one) => one.workspaceId))}::uuid[],
        ${textArray(due.map((one) => one.id))}::uuid[],
        ${textArray(due.map((one) => one.attemptId))}::uuid[]) as d (workspace_id, id, attempt_id)
      where r.workspace_id = d.workspace_id and r.id = d.id
        and r.state = any(${textArray(RUN_TRANSITIONS.due.from)}::text[])
      returning ${columns(run, "r")}`,
  );
  return raws.map((raw) => rowOf(run, raw));
}
