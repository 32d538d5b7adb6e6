import type { Tx } from "../../kernel/index.ts";
import { movePriorities } from "../../limits/index.ts";
import { listInQueue, reorderReady } from "./reorder-store.ts";

/**
 * Gives runs that wait in a queue the place that its priority gives them now: those that wait for a worker, and those that wait
 * for slots. What somebody else moves just then keeps its place; it is about to be taken.
 */
export async function reorderQueue(
  tx: Tx,
  args: { workspaceId: string; poolId: string; queue: string },
): Promise<void> {
  await reorderReady(tx, args);
  await movePriorities(tx, { workspaceId: args.workspaceId, priorities: await listInQueue(tx, args) });
}
