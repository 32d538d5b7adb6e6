import { workerOnlineMs } from "@towpath/contract";
import { sql } from "drizzle-orm";
import type { Queryable } from "../kernel/index.ts";

/**
 * Whether workers of a pool may hold what the database has forgotten: some that were online by its last sign of life have not
 * offered again yet; those that have come since hold nothing; or that sign is so long ago that it knows too little of who was. Reads the workers of the pool.
 */
export async function areAwaited(
  from: Queryable,
  a: { workspaceId: string; poolId: string; incarnation: string },
): Promise<boolean> {
  const seconds = workerOnlineMs / 1_000;
  const [row] = await from.execute<{ awaited: boolean }>(sql`
    select coalesce(i.since - i.known_until > make_interval(secs => ${seconds}), true) or exists (
        select from worker w where w.workspace_id = ${a.workspaceId} and w.pool_id = ${a.poolId}
          and not w.draining and w.first_seen_at < i.since and w.last_seen_at > i.known_until - make_interval(secs => ${seconds}) and w.reconciled is distinct from i.id
      ) as awaited
    from incarnation i where i.id = ${a.incarnation}`);
  return row?.awaited ?? false;
}
