import { sql } from "#sql";
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
} from "../../kernel/index.ts";
import { insertRunChanges } from "../moves/changes.ts";
import { type AttemptRow, attempt, type LateReportRow, lateReport } from "../table.ts";

/** Attempts of archived runs, by id. Primary key of each partition of attempt_history. */
export async function findArchived(
  from: Queryable,
  args: { workspaceId: string; attemptIds: readonly string[] },
): Promise<AttemptRow[]> {
  const raws = await rows<RawRow>(
    from,
    sql`select ${columns(attempt, "a")} from attempt_history a
      where a.workspace_id = ${args.workspaceId} and a.id = any(${textArray(args.attemptIds)}::uuid[])
      order by a.id for update`,
  );
  return raws.map((raw) => rowOf(attempt, raw));
}

/** A report with an old fence. */
export interface Late {
  readonly attemptId: string;
  readonly epoch: number;
  readonly records: number;
  readonly kinds: readonly string[];
}

/** The most kinds of records that are stored of one late report. */
const KINDS_MAX = 20;

/** Counts a late report, to show it. One row per attempt, worker and epoch. */
export async function noteLate(
  tx: Tx,
  clock: Clock,
  args: Late & { workspaceId: string; workerId: string },
): Promise<void> {
  const at = now(clock);
  await rows(
    tx,
    sql`insert into late_report as l (workspace_id, attempt_id, worker_id, epoch, reports, records, kinds,
        first_received_at, last_received_at)
      values (${args.workspaceId}, ${args.attemptId}, ${args.workerId}, ${args.epoch}, 1, ${args.records},
        ${textArray(args.kinds.slice(0, KINDS_MAX))}::text[], ${at}, ${at})
      on conflict (workspace_id, attempt_id, worker_id, epoch) do update set reports = l.reports + 1,
        records = l.records + excluded.records, last_received_at = excluded.last_received_at`,
  );
}

/** The most late reports that are shown of a run. */
const LATE_MAX = 100;

/** Reports on attempts that came late, by attempt and claim. Primary key. At most LATE_MAX. */
export async function listLate(
  from: Queryable,
  args: { workspaceId: string; attemptIds: readonly string[] },
): Promise<LateReportRow[]> {
  const raws = await rows<RawRow>(
    from,
    sql`select ${columns(lateReport, "l")} from late_report l
      where l.workspace_id = ${args.workspaceId} and l.attempt_id = any(${textArray(args.attemptIds)}::uuid[])
      order by l.attempt_id, l.epoch, l.first_received_at limit ${LATE_MAX}`,
  );
  return raws.map((raw) => rowOf(lateReport, raw));
}

/** The attempts among these that must stop, and why. */
export async function listCancelling(
  from: Queryable,
  args: { workspaceId: string; attemptIds: readonly string[] },
): Promise<{ attemptId: string; reason: string }[]> {
  return rows(
    from,
    sql`select a.id as "attemptId", coalesce(r.cancel_reason, '') as reason
      from attempt a join run r on r.workspace_id = a.workspace_id and r.id = a.run_id
      where a.workspace_id = ${args.workspaceId} and a.id = any(${textArray(args.attemptIds)}::uuid[])
        and a.state = 'cancelling' and a.hook_until is null`,
  );
}

/**
 * Sets the name of a live run and writes the change. Primary key of run. @returns whether the name was different
 * before.
 */
export async function saveRunName(
  tx: Tx,
  args: { workspaceId: string; runId: string; name: string },
): Promise<boolean> {
  const named = await rows(
    tx,
    sql`with moved as (
        update run m set name = ${args.name}
        where m.workspace_id = ${args.workspaceId} and m.id = ${args.runId} and m.name is distinct from ${args.name}
        returning m.*
      ), changes as (${insertRunChanges(sql`moved`)})
      select 1 from moved`,
  );
  return named.length > 0;
}
