import { ATTEMPT_TRANSITIONS, type Fence, type Ref, RUN_TRANSITIONS, type Trigger } from "@towpath/contract";
import { sql } from "#sql";
import { after, type Clock, now, type Queryable, rows, textArray } from "../../kernel/index.ts";
import { NO_NEEDS } from "../needs.ts";
import { CHANGE_COLUMNS, insertRunChanges } from "./changes.ts";
import { literals } from "./state.ts";

/** The start or the completion of an attempt, as its worker reports it in one record. */
export interface PlainRecord extends Fence {
  readonly workerId: string;
  readonly seq: number;
  readonly starts: boolean;
  readonly exitCode: number | null;
  readonly lastBulkSeq: number | null;
  readonly result: Ref | null;
}

/** An attempt that was moved. */
export interface PlainMoved {
  readonly id: string;
  readonly bulkAcked: number;
  /** For a run that has ended: its trigger. */
  readonly ended: Trigger | null;
}

/** The moves that one record reports, as SQL, for attempts and for runs. */
const ATTEMPT = {
  start: literals(ATTEMPT_TRANSITIONS.start),
  complete: literals(ATTEMPT_TRANSITIONS.complete),
};
const RUN = { start: literals(RUN_TRANSITIONS.start), complete: literals(RUN_TRANSITIONS.complete) };

/**
 * Starts and completes attempts, with their runs and changes, in one statement that is its own transaction. Most
 * attempts report nothing else.
 *
 * It moves only attempts without side effects. The fence is the current one and the record is the next, so everything
 * before it, tasks included, has been committed. A completed attempt has no slots, no needs and no open task, and its
 * run has no dependents. Everything else stays unchanged and is missing in the result. It waits for locked rows, and
 * then checks again.
 *
 * Primary keys of attempt and run, index task_run_open. Attempts are locked before runs, each in the order of their
 * ids.
 */
export async function savePlain(
  to: Queryable,
  clock: Clock,
  args: {
    workspaceId: string;
    records: readonly PlainRecord[];
    leaseMs: number;
  },
): Promise<PlainMoved[]> {
  const ids = textArray(args.records.map(({ attemptId }) => attemptId));
  const at = now(clock);
  return rows<PlainMoved>(
    to,
    sql`with said as materialized (
        select * from json_to_recordset(${JSON.stringify(args.records)}::json) as s ("attemptId" uuid, epoch bigint, nonce text,
          "workerId" uuid, seq bigint, starts boolean, "exitCode" bigint, "lastBulkSeq" bigint, result json)
      ), held as materialized (
        select t.id, t.run_id, s.starts, s.result from attempt t join said s on s."attemptId" = t.id
        where t.workspace_id = ${args.workspaceId} and t.id = any(${ids}::uuid[])
          and t.epoch = s.epoch and t.nonce = s.nonce and t.worker_id = s."workerId" and t.control_acked = s.seq - 1
          and case when s.starts then t.state in ${ATTEMPT.start.from}
            else t.state = ${ATTEMPT.start.to} and t.needs = ${NO_NEEDS} and not t.limited
              and not exists (select 1 from task_run k where k.attempt_id = t.id and k.ended_at is null) end
        order by t.id for update of t
      ), free as materialized (
        select r.id, h.id as attempt_id, h.starts, h.result from run r join held h on h.run_id = r.id
        where r.workspace_id = ${args.workspaceId} and r.id = any(array(select run_id from held))
          and case when h.starts then r.state in ${RUN.start.from}
            else r.state = ${RUN.start.to} and not r.tied end
        order by r.id for update of r
      ), told as (
        update attempt t set state = case when s.starts then ${ATTEMPT.start.to} else ${ATTEMPT.complete.to} end,
          started_at = case when s.starts then ${at} else t.started_at end,
          lease_expires_at = case when s.starts then ${after(clock, args.leaseMs)} end,
          ended_at = case when not s.starts then greatest(${at}, t.started_at) end,
          control_acked = s.seq, exit_code = s."exitCode", last_bulk_seq = s."lastBulkSeq"
        from said s
        where t.workspace_id = ${args.workspaceId} and t.id = any(array(select attempt_id from free)) and s."attemptId" = t.id
        returning t.id, t.bulk_acked
      ), moved as (
        update run m set state = case when f.starts then ${RUN.start.to} else ${RUN.complete.to} end,
          started_at = coalesce(m.started_at, ${at}), ended_at = case when not f.starts then ${at} end,
          -- Null for the only attempt: the run took as long as it.
          worked_ms = case when f.starts then m.worked_ms else m.worked_ms + extract(epoch from ${at} - m.working_since) * 1000 end,
          working_since = case when f.starts then ${at} end,
          error = null, result = f.result
        from free f
        where m.workspace_id = ${args.workspaceId} and m.id = any(array(select id from free)) and m.id = f.id
        returning ${CHANGE_COLUMNS}, m.attempt_id, case when m.ended_at is not null then m.trigger end as ended
      ), changes as (${insertRunChanges(sql`moved`)})
      select t.id, t.bulk_acked::float8 as "bulkAcked", m.ended
      from told t join moved m on m.attempt_id = t.id`,
  );
}
