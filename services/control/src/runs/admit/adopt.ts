import type { Limit } from "@towpath/contract";
import { sql } from "#sql";
import { type Clock, now, rows, type Tx } from "../../kernel/index.ts";
import { limitedAs } from "../moves/run-columns.ts";

/** The most attempts that get slots of a limit when it is first set. */
const ADOPTED_MAX = 10_000;

/**
 * Gives each live attempt a slot of a new limit of a deployment, pool or queue, so that the limit counts it. A new named
 * limit has no holders. The caller holds the limit's lock. Attempts are locked in the order of their ids. Index
 * attempt_one_active.
 */
export async function adoptRuns(
  tx: Tx,
  clock: Clock,
  limit: Pick<Limit, "id" | "kind" | "name"> & { readonly workspaceId: string },
): Promise<void> {
  if (limit.kind === "named") return;
  const name = { deployment: limitedAs.deployment, pool: sql`r.pool`, queue: sql`r.pool || '/' || r.queue` };
  await rows(
    tx,
    sql`with live as materialized (
        select a.id, a.run_id from attempt a join run r on r.workspace_id = a.workspace_id and r.id = a.run_id
        where a.workspace_id = ${limit.workspaceId} and a.ended_at is null and ${name[limit.kind]} = ${limit.name}
        order by a.id limit ${ADOPTED_MAX} for update of a
      ), marked as (
        update attempt a set limited = true from live where a.id = live.id and a.workspace_id = ${limit.workspaceId}
      ), taken as (
        insert into slot (attempt_id, limit_id, workspace_id, run_id, amount, taken_at)
        select live.id, ${limit.id}::uuid, ${limit.workspaceId}::uuid, live.run_id, 1, ${now(clock)} from live returning 1
      )
      update slot_limit set taken = taken + (select count(*) from taken)
      where id = ${limit.id} and workspace_id = ${limit.workspaceId}`,
  );
}
