import { type SQL, sql } from "drizzle-orm";
import { type Clock, now, type Queryable, type Tx } from "../../kernel/index.ts";
import { rows, textArray } from "../store/rows.ts";

/** The most parents that one round looks at, and children of each. */
export const ORPHANING_BATCH = 100;
const CHILDREN_BATCH = 1_000;

const isOrphan = (
  workspaceId: SQL,
  parentId: SQL,
) => sql`c.workspace_id = ${workspaceId} and c.parent_id = ${parentId}
  and c.on_parent_end = 'cancel' and c.ended_at is null and c.state <> 'cancelling'`;

/** Notes whose child a run is. Its creation is in the same transaction. */
export async function saveParent(
  tx: Tx,
  a: { workspaceId: string; runId: string; parentId: string; onParentEnd: "cancel" | "abandon" },
): Promise<void> {
  await rows(
    tx,
    sql`update run set parent_id = ${a.parentId}, on_parent_end = ${a.onParentEnd}
      where workspace_id = ${a.workspaceId} and id = ${a.runId}`,
  );
}

/** Notes which of these runs, that end in this transaction, have children to be cancelled. Index run_children. */
export async function noteOrphans(
  tx: Tx,
  clock: Clock,
  a: { workspaceId: string; runIds: readonly string[] },
): Promise<boolean> {
  const noted = await rows(
    tx,
    sql`insert into orphaning (workspace_id, parent_id, since)
      select ${a.workspaceId}::uuid, p.id, ${now(clock)} from unnest(${textArray(a.runIds)}::uuid[]) as p (id)
      where exists (select 1 from run c where ${isOrphan(sql`${a.workspaceId}`, sql`p.id`)})
      on conflict do nothing returning 1`,
  );
  return noted.length > 0;
}

/** 0 if there is a parent whose children are to be cancelled, or null. */
export function untilOrphans(): SQL {
  return sql`select 0 from orphaning limit 1`;
}

/** Parents whose children are to be cancelled, at most ORPHANING_BATCH. */
export function listOrphaning(from: Queryable): Promise<{ workspaceId: string; parentId: string }[]> {
  return rows(
    from,
    sql`select workspace_id as "workspaceId", parent_id as "parentId" from orphaning order by since limit ${ORPHANING_BATCH}`,
  );
}

/** Children of a run that are to be cancelled with it and have not been asked to end. Index run_children. */
export async function listOrphans(
  from: Queryable,
  a: { workspaceId: string; parentId: string },
): Promise<string[]> {
  const found = await rows<{ id: string }>(
    from,
    sql`select c.id from run c where ${isOrphan(sql`${a.workspaceId}`, sql`${a.parentId}`)}
      order by c.id limit ${CHILDREN_BATCH}`,
  );
  return found.map((one) => one.id);
}

/** Forgets a parent that has no such children any more. */
export async function forgetOrphaning(
  from: Queryable,
  a: { workspaceId: string; parentId: string },
): Promise<void> {
  await rows(
    from,
    sql`delete from orphaning o where o.workspace_id = ${a.workspaceId} and o.parent_id = ${a.parentId}
      and not exists (select 1 from run c where ${isOrphan(sql`${a.workspaceId}`, sql`${a.parentId}`)})`,
  );
}
