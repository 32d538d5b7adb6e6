import { FINAL_RUN_STATES, OVERVIEW_STRETCHES, type Overview, type RunState } from "@towpath/contract";
import { sql } from "#sql";
import {
  type Clock,
  type Deps,
  instantOrNull,
  now,
  type Queryable,
  rows,
  type Scope,
  textArray,
} from "../../kernel/index.ts";
import { readRestoreNotice } from "../lease/restore-notice.ts";

/** The number of runs of one state in one span of time. Without a span: runs that have not ended. */
interface Counted {
  readonly from: Date | null;
  readonly state: RunState;
  readonly runs: number;
}

/**
 * Counts runs: live runs by state, ended runs by state and time of creation. History is counted from
 * run_history_state alone, without its rows. The live table is small.
 */
async function countRuns(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; spanMs: number; stretchMs: number },
): Promise<{ at: Date; counts: Counted[] }> {
  const at = now(clock);
  const since = sql`(${at} - make_interval(secs => ${args.spanMs / 1000}::float8))`;
  const found = await rows<{ at: string; since: string | null; state: RunState; runs: number }>(
    from,
    sql`with ended as (
        select created_at, state from run
          where workspace_id = ${args.workspaceId} and ended_at is not null and created_at >= ${since}
        union all
        select created_at, state from run_history
          where workspace_id = ${args.workspaceId} and state = any(${textArray(FINAL_RUN_STATES)}::text[]) and created_at >= ${since}
      )
      select ${at} as at, since, state, runs from (
        select null::timestamptz as since, state, count(*)::int as runs from run
          where workspace_id = ${args.workspaceId} and ended_at is null group by state
        union all
        select date_bin(make_interval(secs => ${args.stretchMs / 1000}::float8), created_at, ${since}) as since, state, count(*)::int
          from ended group by 1, 2
        union all select null, '', 0
      ) counted order by since nulls first`,
  );
  return {
    at: instantOrNull(found[0]?.at ?? null) ?? new Date(0),
    counts: found
      .filter((row) => row.runs > 0)
      .map((row) => ({ from: instantOrNull(row.since), state: row.state, runs: row.runs })),
  };
}

const HOUR_MS = 3_600_000;

/** The workspace's overview: runs that have not ended, and the outcomes of runs that were created in the last hours. */
export async function getOverview(deps: Deps, scope: Scope, args: { hours: number }): Promise<Overview> {
  const spanMs = args.hours * HOUR_MS;
  const stretchMs = spanMs / OVERVIEW_STRETCHES;
  const { workspaceId } = scope;
  const [{ at, counts }, restored] = await Promise.all([
    countRuns(deps.database.reads, deps.clock, { workspaceId, spanMs, stretchMs }),
    readRestoreNotice(deps.database.reads, deps.clock, { workspaceId }),
  ]);
  return {
    at: at.toISOString(),
    restored,
    stretchMs,
    live: counts.flatMap(({ from, state, runs }) => (from === null ? [{ state, runs }] : [])),
    activity: counts.flatMap(({ from, state, runs }) =>
      from === null ? [] : [{ from: from.toISOString(), state, runs }],
    ),
  };
}
