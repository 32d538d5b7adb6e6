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

/** One attempt as a source of log lines. */
export interface LogSource {
  readonly attemptId: string;
  readonly ordinal: number;
  /** The first line that is not stored yet. */
  readonly nextLine: number;
  /** Whether no more lines will come. */
  readonly closed: boolean;
}

/** How long after an attempt's end readers wait for its announced last lines, seconds. Later lines are still stored. */
const LOG_TAIL_SECONDS = 30;

/** The attempts of a run as sources of log lines, in order. Indexes as `listAttempts`. */
export async function listLogSources(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; runId: string },
): Promise<LogSource[]> {
  const source = sql`id as "attemptId", ordinal, next_line::text as "nextLine", ended_at is not null and
    (last_bulk_seq is null or bulk_acked >= last_bulk_seq
      or ended_at < ${now(clock)} - make_interval(secs => ${LOG_TAIL_SECONDS})) as closed`;
  const where = sql`workspace_id = ${args.workspaceId} and run_id = ${args.runId}`;
  const found = await rows<LogSource & { nextLine: string }>(
    from,
    sql`select ${source} from attempt where ${where}
      union all
      select ${source} from attempt_history where ${where} and run_ended_at =
        (select ended_at from run_key where ${where})
      order by ordinal`,
  );
  return found.map((row) => ({ ...row, nextLine: Number(row.nextLine) }));
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
        and a.state = 'cancelling'`,
  );
}
