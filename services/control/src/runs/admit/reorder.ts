import { sql } from "#sql";
import { rows, type Tx } from "../../kernel/index.ts";
import { movePriorities } from "../../limits/index.ts";
import { effectivePriority } from "../moves/run-columns.ts";

/** A queue of a pool. */
interface QueueName {
  readonly workspaceId: string;
  readonly poolId: string;
  readonly queue: string;
}

/** Reorders the runs that wait for a worker by their queue's new priority. Waits for no lock. Index attempt_ready. */
async function reorderReady(tx: Tx, args: QueueName): Promise<void> {
  await rows(
    tx,
    sql`with held as (
        select t.id, ${effectivePriority} as priority from attempt t
          join run r on r.workspace_id = t.workspace_id and r.id = t.run_id
        where t.workspace_id = ${args.workspaceId} and t.pool_id = ${args.poolId} and t.state = 'ready' and r.queue = ${args.queue}
        for update of t skip locked
      )
      update attempt t set priority = h.priority from held h
      where t.workspace_id = ${args.workspaceId} and t.id = h.id and t.priority <> h.priority`,
  );
}

/** Live runs of a queue, with their priority in wait lists for slots. Scans the workspace's live runs. */
function listInQueue(tx: Tx, args: QueueName): Promise<{ runId: string; priority: number }[]> {
  return rows(
    tx,
    sql`select r.id as "runId", ${effectivePriority} as priority from run r
      where r.workspace_id = ${args.workspaceId} and r.pool_id = ${args.poolId} and r.queue = ${args.queue}
        and r.state in ('blocked', 'claimed', 'running')`,
  );
}

/**
 * Moves runs that wait in a queue to the position of its new priority, both those that wait for a worker and those that
 * wait for slots. Skips runs that another transaction holds: they are about to start.
 */
export async function reorderQueue(
  tx: Tx,
  args: { workspaceId: string; poolId: string; queue: string },
): Promise<void> {
  await reorderReady(tx, args);
  await movePriorities(tx, { workspaceId: args.workspaceId, priorities: await listInQueue(tx, args) });
}
