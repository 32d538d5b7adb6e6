import { FINAL_RUN_STATES, type RunState } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { type Queryable, type Tx, textArray } from "../kernel/index.ts";

/** How far the feed has been read for all, and how far it goes. */
export async function readFeed(from: Queryable): Promise<{ position: number; last: number }> {
  const [row] = await from.execute<{ position: string; last: string }>(sql`
    select f.position::text, c.last_position::text as last from notifier_feed f, change_feed c`);
  return { position: Number(row?.position ?? 0), last: Number(row?.last ?? 0) };
}

/** How far the feed has been read for a workspace: it may have had no notifier when others were read. */
const readTo = (
  workspaceId: SQL,
) => sql`(select greatest(f.position, coalesce(p.position, 0)) from notifier_feed f
  left join notifier_progress p on p.workspace_id = ${workspaceId})`;

/** Endings of runs among changes. */
const IS_ENDING = sql`kind = 'run' and data ->> 'state' = any(${textArray(FINAL_RUN_STATES)}::text[])`;

/** Workspaces with notifiers in whose part of the feed something has come. Index change_workspace. */
export async function selectBehind(from: Queryable, args: { last: number }): Promise<string[]> {
  const found = await from.execute<{ id: string }>(sql`
    select h.workspace_id as id from (select distinct workspace_id from notifier) h
    where exists (select 1 from change c where c.workspace_id = h.workspace_id
      and c.position > ${readTo(sql`h.workspace_id`)} and c.position <= ${args.last})`);
  return found.map(({ id }) => id);
}

/** Takes the reading of the feed for a workspace until the transaction ends. @returns from where; null if another process has it. */
export async function lockProgress(tx: Tx, workspaceId: string): Promise<number | null> {
  await tx.execute(sql`insert into notifier_progress (workspace_id, position)
    select ${workspaceId}::uuid, f.position from notifier_feed f on conflict do nothing`);
  // The position comes from the locked row: a subquery would read it as it was before another process moved it.
  const [row] = await tx.execute<{ position: string }>(sql`
    select greatest(f.position, n.position)::text as position from notifier_progress n cross join notifier_feed f
    where n.workspace_id = ${workspaceId} for update of n skip locked`);
  return row === undefined ? null : Number(row.position);
}

/** Notes how far the feed was read for a workspace. */
export async function moveProgress(tx: Tx, args: { workspaceId: string; position: number }): Promise<void> {
  await tx.execute(
    sql`update notifier_progress set position = ${args.position} where workspace_id = ${args.workspaceId}`,
  );
}

/** Notes that the feed was read for all up to the place where the workspace stands that is furthest behind. */
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

/** An ending, and where it stands in the feed. */
export interface PlacedRow extends EndedRow {
  readonly position: number;
}

/** Runs of a workspace that ended between two positions, in their order. Index change_workspace. */
export async function selectEnded(
  tx: Tx,
  args: { workspaceId: string; after: number; upTo: number; limit: number },
): Promise<PlacedRow[]> {
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

/** Milliseconds until the feed has something for notifiers: 0, or null. */
export function untilChange(): SQL {
  return sql`select 0 from notifier_feed f, change_feed c
    where f.position < c.last_position and exists (select 1 from notifier)`;
}
