import type { CalendarHour } from "@towpath/contract";
import { and, eq, gte, isNotNull, lt, sql } from "#sql";
import type { Queryable } from "../../kernel/index.ts";
import type { InstantRow } from "../store.ts";
import { scheduleInstant } from "../table.ts";

/** The possible outcomes of an instant. */
export type Outcome = Exclude<keyof CalendarHour, "at" | "on" | "hour" | "due">;

/** The number of instants in a quarter of an hour with the same outcome. */
export interface QuarterCount {
  readonly atMs: number;
  readonly outcome: Outcome;
  readonly count: number;
}

/** A span of a schedule's instants. */
export interface InstantSpan {
  readonly workspaceId: string;
  readonly scheduleId: string;
  readonly deployment: string;
  readonly from: string;
  readonly to: string;
}

/**
 * Counts instants by the quarter of an hour and the outcome of their runs. Primary key of schedule_instant; archived
 * runs by run_history_deployment, or each by its key if there are few. 6,500 instants over 101,000 archived runs: 80 to
 * 120 ms.
 */
export async function countInstants(from: Queryable, args: InstantSpan): Promise<QuarterCount[]> {
  const rows = await from.execute<{ at_ms: string; outcome: Outcome; count: number }>(sql`
    with i as materialized (
      select at, run_id from schedule_instant
      where schedule_id = ${args.scheduleId} and workspace_id = ${args.workspaceId}
        and at >= ${args.from}::timestamptz and at < ${args.to}::timestamptz
    ), ended as (
      select h.id, h.state from run_history h
      where h.workspace_id = ${args.workspaceId} and h.deployment = ${args.deployment}
        and h.created_at >= ${args.from}::timestamptz and h.ended_at >= ${args.from}::timestamptz
      union all
      select r.id, r.state from run r where r.workspace_id = ${args.workspaceId} and r.deployment = ${args.deployment}
    )
    select extract(epoch from date_bin('15 minutes', i.at, 'epoch'))::bigint * 1000 as at_ms,
      case when i.run_id is null then 'skipped'
        when e.state in ('failed', 'crashed') then 'failed'
        when e.state in ('completed', 'cancelled') then e.state
        else 'open' end as outcome,
      count(*)::int as count
    from i left join ended e on e.id = i.run_id
    group by 1, 2 order by 1`);
  return rows.map(({ at_ms, outcome, count }) => ({ atMs: Number(at_ms), outcome, count }));
}

/** Stretches of instants that were skipped together and overlap a span, at most `limit`. */
export function selectStretches(
  from: Queryable,
  args: InstantSpan & { limit: number },
): Promise<InstantRow[]> {
  return from
    .select()
    .from(scheduleInstant)
    .where(
      and(
        eq(scheduleInstant.workspaceId, args.workspaceId),
        eq(scheduleInstant.scheduleId, args.scheduleId),
        isNotNull(scheduleInstant.until),
        gte(scheduleInstant.until, new Date(args.from)),
        lt(scheduleInstant.at, new Date(args.to)),
      ),
    )
    .orderBy(scheduleInstant.at)
    .limit(args.limit);
}
