import { and, eq, sql } from "#sql";
import { type Clock, now, type Tx } from "../kernel/index.ts";
import { online } from "./store.ts";
import { worker } from "./table.ts";

/** A locked worker. Its polls wait for the lock. */
export interface LockedWorker extends Record<string, unknown> {
  readonly name: string;
  readonly online: boolean;
  /** How long ago it was last seen, milliseconds. */
  readonly agoMs: number;
}

/** Locks a worker of a pool, or null. */
export async function lockWorker(
  tx: Tx,
  args: { workspaceId: string; poolId: string; workerId: string; clock: Clock },
): Promise<LockedWorker | null> {
  const [row] = await tx.execute<LockedWorker>(sql`
    select name, ${online(args.clock)} as online,
      extract(epoch from ${now(args.clock)} - last_seen_at)::float8 * 1000 as "agoMs"
    from worker
    where workspace_id = ${args.workspaceId} and pool_id = ${args.poolId} and id = ${args.workerId} for update`);
  return row ?? null;
}

/** Deletes a worker. The caller holds its lock. */
export async function deleteWorkerRow(
  tx: Tx,
  args: { workspaceId: string; workerId: string },
): Promise<void> {
  await tx.delete(worker).where(and(eq(worker.workspaceId, args.workspaceId), eq(worker.id, args.workerId)));
}
