import { FINAL_RUN_STATES, type RunState } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { type Queryable, type Tx, textArray } from "../kernel/index.ts";

/** The position up to which the feed is read for all workspaces, and its last position. */
export async function readFeed(from: Queryable): Promise<{ position: number; last: number }> {
  const [row] = await from.execute<{ position: string; last: string }>(sql`
    select f.position::text, c.last_position::text as last from notifier_feed f, change_feed c`);
  return { position: Number(row?.position ?? 0), last: Number(row?.last ?? 0) };
}

/** The position up to which the feed is read for a workspace. Without a row, that of all workspaces counts. */
const readTo = (
  workspaceId: SQL,
) => sql`(select greatest(f.position, coalesce(p.position, 0)) from notifier_feed f
  left join notifier_progress p on p.workspace_id = ${workspaceId})`;

/** Whether a change is the end of a run. */
const IS_ENDING = sql`kind = 'run' and data ->> 'state' = any(${textArray(FINAL_RUN_STATES)}::text[])`;

/** Workspaces with notifiers and unread changes. Index change_workspace. */
export async function selectBehind(from: Queryable, args: { last: number }): Promise<string[]> {
  const found = await from.execute<{ id: string }>(sql`
    select h.workspace_id as id from (select distinct workspace_id from notifier) h
    where exists (select 1 from change c where c.workspace_id = h.workspace_id
      and c.position > ${readTo(sql`h.workspace_id`)} and c.position <= ${args.last})`);
  return found.map(({ id }) => id);
}

/**
 * Locks a workspace's position in the feed until the transaction ends. @returns the position; null if another process
 * has the lock.
 */
export async function lockProgress(tx: Tx, workspaceId: string): Promise<number | null> {
  await tx.execute(sql`insert into notifier_progress (workspace_id, position)
    select ${workspaceId}::uuid, f.position from notifier_feed f on conflict do nothing`);
  // A subquery would read the position from before another process moved it, so it comes from the locked row.
  const [row] = await tx.execute<{ position: string }>(sql`
    select greatest(f.position, n.position)::text as position from notifier_progress n cross join notifier_feed f
    where n.workspace_id = ${workspaceId} for update of n skip locked`);
  return row === undefined ? null : Number(row.position);
}

/** Moves a workspace's position in the feed. */
export async function moveProgress(tx: Tx, args: { workspaceId: string; position: number }): Promise<void> {
  await tx.execute(
    sql`update notifier_progress set position = ${args.position} where workspace_id = ${args.workspaceId}`,
  );
}

/** Moves the position for all workspaces to that of the workspace that is furthest behind. */
export async function moveFeed(to: Queryable, args: { last: number }): Promise<void> {
  await to.execute(sql`update notifier_feed f set position = greatest(f.position, (
    select least(${args.last}::bigint, min(case when exists (select 1 from change c where c.workspace_id = h.workspace_id
        and c.position > ${readTo(sql`h.workspace_id`)} and c.position <= ${args.last})
      then ${readTo(sql`h.workspace_id`)} else ${args.last}::bigint end))
    from (select distinct workspace_id from notifier) h))`);
}

/** A run that has ended. */
export interface EndedRow {
  readonly workspaceId: string;
  readonly runId: string;
  readonly state: RunState;
  readonly changedAt: Date;
}

/** The end of a run with its position in the feed. */
export interface PositionedRow extends EndedRow {
  readonly position: number;
}

/** The runs of a workspace that ended between two positions, in order. Index change_workspace. */
export async function selectEnded(
  tx: Tx,
  args: { workspaceId: string; after: number; upTo: number; limit: number },
): Promise<PositionedRow[]> {
  const found = await tx.execute<Omit<EndedRow, "changedAt"> & { changedAt: string; position: string }>(sql`
    select workspace_id as "workspaceId", run_id as "runId", data ->> 'state' as state, created_at as "changedAt",
      position::text as position
    from change
    where workspace_id = ${args.workspaceId} and position > ${args.after} and position <= ${args.upTo} and ${IS_ENDING}
    order by position limit ${args.limit}`);
  return found.map((row) => ({
    ...row,
    changedAt: new Date(row.changedAt),
    position: Number(row.position),
  }));
}

/** 0 if the feed has something for notifiers, else null. */
export function untilChange(): SQL {
  return sql`select 0 from notifier_feed f, change_feed c
    where f.position < c.last_position and exists (select 1 from notifier)`;
}
