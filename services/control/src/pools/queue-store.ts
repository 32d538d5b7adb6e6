import { and, asc, desc, eq, sql } from "#sql";
import { type Clock, now, type Queryable } from "../kernel/index.ts";
import { queue } from "./table.ts";

/** A row of queue. */
export type QueueRow = typeof queue.$inferSelect;

/** The queues of a pool, highest priority first. */
export function selectQueues(
  from: Queryable,
  args: { workspaceId: string; poolId: string },
): Promise<QueueRow[]> {
  return from
    .select()
    .from(queue)
    .where(and(eq(queue.workspaceId, args.workspaceId), eq(queue.poolId, args.poolId)))
    .orderBy(desc(queue.priority), asc(queue.name));
}

/** Inserts a queue, or changes the priority of the one with this name. */
export async function upsertQueue(
  to: Queryable,
  clock: Clock,
  row: Omit<QueueRow, "createdAt">,
): Promise<QueueRow | null> {
  const [written] = await to
    .insert(queue)
    .values({ ...row, createdAt: sql`${now(clock)}` })
    .onConflictDoUpdate({ target: [queue.poolId, queue.name], set: { priority: row.priority } })
    .returning();
  return written ?? null;
}

/** Deletes the queues of a pool. */
export async function deleteQueuesOf(
  tx: Queryable,
  args: { workspaceId: string; poolId: string },
): Promise<void> {
  await tx.delete(queue).where(and(eq(queue.workspaceId, args.workspaceId), eq(queue.poolId, args.poolId)));
}

/** Deletes a queue. */
export async function deleteQueueRow(
  from: Queryable,
  args: { workspaceId: string; poolId: string; name: string },
): Promise<void> {
  await from
    .delete(queue)
    .where(
      and(eq(queue.workspaceId, args.workspaceId), eq(queue.poolId, args.poolId), eq(queue.name, args.name)),
    );
}
