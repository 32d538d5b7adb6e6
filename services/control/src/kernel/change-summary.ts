import { sql } from "#sql";
import type { Queryable } from "./database.ts";
import { prepared } from "./prepared.ts";

/** The most changes in one summary. */
const SUMMARY_CHANGES_MAX = 5_000;

/** A summary of a workspace's changes after a position. */
export interface ChangeSummary {
  /** The last change in the summary. Without changes, the position of the request. */
  readonly position: number;
  readonly kinds: readonly string[];
  readonly runs: readonly string[];
  /** Whether more changes may follow at once. */
  readonly full: boolean;
}

/**
 * Summarises a workspace's changes after a position in one row.
 *
 * Uses index change_workspace (workspace_id, position) where position is not null.
 */
export async function readChangeSummary(
  from: Queryable,
  args: { workspaceId: string; after: number },
): Promise<ChangeSummary> {
  const [row] = await prepared<{
    count: number;
    last: string | null;
    kinds: string[] | null;
    runs: string[] | null;
  }>(
    from,
    sql`with part as materialized (
        select position, kind, run_id from change
          where workspace_id = ${args.workspaceId} and position is not null and position > ${args.after}
          order by position limit ${SUMMARY_CHANGES_MAX}
      )
      select count(*)::int as count, max(position)::text as last, json_agg(distinct kind) as kinds,
        json_agg(distinct run_id::text) filter (where run_id is not null) as runs
      from part`,
  );
  return {
    position: row?.last == null ? args.after : Number(row.last),
    kinds: row?.kinds ?? [],
    runs: row?.runs ?? [],
    full: row?.count === SUMMARY_CHANGES_MAX,
  };
}
