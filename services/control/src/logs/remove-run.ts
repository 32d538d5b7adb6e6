import { type Deps, inTransaction, type Scope } from "../kernel/index.ts";
import { removeRun } from "../runs/index.ts";
import { noteBackfilledEnd } from "../schedules/index.ts";
import { deleteOfRun } from "./store/retention.ts";

/**
 * Removes a run that has ended, with all that belongs to it, in one transaction. What it left in the customer's store stays.
 * Repeating it changes nothing.
 * @throws Problem `run-not-found`; `run-transition-not-allowed` before it has ended; `run-in-use` while another run needs it.
 */
export async function deleteRun(deps: Deps, scope: Scope, { runId }: { runId: string }): Promise<void> {
  const name = { workspaceId: scope.workspaceId, runId };
  await inTransaction(deps, async (tx) => {
    const removed = await removeRun(tx, name);
    if (removed === null) return;
    await noteBackfilledEnd(tx, { ...name, completed: removed.completed });
    // After the attempts: a report that held one of them has committed its lines by now.
    await deleteOfRun(tx, { ...name, attemptIds: removed.attemptIds });
  });
  const { workspaceId: workspace, actor } = scope;
  deps.log.info({ workspace, run: runId, by: actor.name }, "a run was removed");
}
