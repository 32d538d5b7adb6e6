import { sql } from "#sql";
import { type Clock, now, type Queryable, rows } from "../../kernel/index.ts";
import { existingRun, type RunName } from "../history/find.ts";
import { hasEnded } from "../moves/state.ts";
import type { RunRow } from "../table.ts";

/** One attempt as a source of log lines. */
export interface LogSource {
  readonly attemptId: string;
  readonly ordinal: number;
  /** The first line that is not stored yet. */
  readonly nextLine: number;
  /** Whether no more lines will come. */
  readonly closed: boolean;
}

/**
 * How long after the report of an attempt's end readers wait for its announced last lines, seconds. Later lines are still
 * stored.
 */
const LOG_TAIL_SECONDS = 30;

/** The attempts of a run as sources of log lines, in order. Indexes as `listAttempts`. */
async function listLogSources(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; runId: string },
): Promise<LogSource[]> {
  const source = sql`id as "attemptId", ordinal, next_line::text as "nextLine", ended_at is not null and
    (last_bulk_seq is null or bulk_acked >= last_bulk_seq
      or coalesce(reported_at, ended_at) < ${now(clock)} - make_interval(secs => ${LOG_TAIL_SECONDS})) as closed`;
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

/**
 * A run and its attempts as sources of log lines. The run is read first: if it has ended, later reads see everything that it
 * wrote.
 * @throws Problem `run-not-found`.
 */
export async function readLogSources(
  from: Queryable,
  clock: Clock,
  args: RunName,
): Promise<{ run: RunRow; ended: boolean; sources: LogSource[] }> {
  const run = await existingRun(from, args);
  return { run, ended: hasEnded(run), sources: await listLogSources(from, clock, args) };
}
