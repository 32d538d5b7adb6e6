import { type SQL, sql } from "#sql";
import { type Clock, now, type Queryable, rows, type Tx, textArray, type Which } from "../../kernel/index.ts";

/** The most children that one round cancels. */
export const ORPHANS_BATCH = 200;

const isOrphan = (
  workspaceId: SQL,
  parentId: SQL,
) => sql`c.workspace_id = ${workspaceId} and c.parent_id = ${parentId}
  and c.on_parent_end = 'cancel' and c.ended_at is null and c.state <> 'cancelling'`;

/** Notes whose child a run is. Its creation is in the same transaction. */
export async function saveParent(
  tx: Tx,
  args: { workspaceId: string; runId: string; parentId: string; onParentEnd: "cancel" | "abandon" },
): Promise<void> {
  await rows(
    tx,
    sql`update run set parent_id = ${args.parentId}, on_parent_end = ${args.onParentEnd}
      where workspace_id = ${args.workspaceId} and id = ${args.runId}`,
  );
}

/** Notes which of these runs, that end in this transaction, have children to be cancelled. Index run_children. */
export async function noteOrphans(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<boolean> {
  const noted = await rows(
    tx,
    sql`insert into orphaning (workspace_id, parent_id, since)
      select ${args.workspaceId}::uuid, p.id, ${now(clock)} from unnest(${textArray(args.runIds)}::uuid[]) as p (id)
      where exists (select 1 from run c where ${isOrphan(sql`${args.workspaceId}`, sql`p.id`)})
      on conflict do nothing returning 1`,
  );
  return noted.length > 0;
}

/** Which child, in statements over a row `c` of run. */
const childColumns = { workspaceId: sql`c.workspace_id`, id: sql`c.id` } as const;
const isOrphanOf = isOrphan(sql`o.workspace_id`, sql`o.parent_id`);

/** 0 if there is a child that is to be cancelled, or a parent that has none any more; or null. */
export function untilOrphans(among: Which["among"]): SQL {
  return sql`select 0 from orphaning o
    where exists (select 1 from run c where ${isOrphanOf} and ${among(childColumns)})
      or not exists (select 1 from run c where ${isOrphanOf}) limit 1`;
}

/** A run that is to be cancelled with its parent. */
export interface Orphan {
  readonly workspaceId: string;
  readonly id: string;
}

/** Runs that are to be cancelled with their parents and have not been asked to end. Index run_children. */
export function listOrphans(from: Queryable, which: Which): Promise<Orphan[]> {
  return rows<Orphan>(
    from,
    sql`select c.workspace_id as "workspaceId", c.id from orphaning o join run c on ${isOrphanOf}
      where ${which.among(childColumns)} order by o.since, c.id limit ${which.limit}`,
  );
}

/** Forgets parents that have no such children any more: all of them, or the parent of one child. */
export async function forgetOrphaning(from: Queryable, child?: Orphan): Promise<void> {
  const its =
    child === undefined
      ? sql`true`
      : sql`o.workspace_id = ${child.workspaceId} and o.parent_id = (select p.parent_id from run p
          where p.workspace_id = ${child.workspaceId} and p.id = ${child.id})`;
  await rows(
    from,
    sql`delete from orphaning o where ${its} and not exists (select 1 from run c where ${isOrphanOf})`,
  );
}
