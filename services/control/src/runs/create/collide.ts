import type { Deps, Tx } from "../../kernel/index.ts";
import { enterWaitList } from "../admit/admission.ts";
import { type EnteringRun, listDisplaced, readEntering } from "../admit/store.ts";
import { mustCancel } from "../end/cancel.ts";

/** The most runs that are cancelled for runs that enter in one transaction. */
const CANCELLED_MAX = 200;

/**
 * Lets due runs enter their wait lists by `enterWaitList`. If a deployment's limit has the policy `cancel-running`,
 * cancels its oldest runs, waiting and entering ones included, until the newest fit. A run with an earlier attempt cancels none. The
 * caller holds the locks of the runs that enter.
 */
export async function enterAnew(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<void> {
  if (args.runIds.length === 0) return;
  const { workspaceId } = args;
  const runs = await readEntering(tx, args);
  const colliding = runs.filter((run) => run.isNew && run.collision === "cancel-running");
  const cancelled = new Set<string>();
  for (const [limitId, entering] of Map.groupBy(colliding, (run) => run.limitId ?? ""))
    for (const id of await makeRoom(tx, deps, { workspaceId, limitId, entering })) cancelled.add(id);
  for (const run of runs)
    if (!cancelled.has(run.id)) enterWaitList(tx, deps, { workspaceId, id: run.id, entering: run });
}

const byDueTime = (one: EnteringRun, other: EnteringRun) =>
  one.dueMs - other.dueMs || (one.id < other.id ? -1 : 1);

/** @returns the runs that are cancelled. After an outage, more runs may enter at once than there are slots. */
async function makeRoom(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; limitId: string; entering: readonly EnteringRun[] },
): Promise<readonly string[]> {
  const { workspaceId, limitId, entering } = args;
  const slots = entering[0]?.slots ?? 0;
  const older = entering.toSorted(byDueTime).slice(0, Math.max(0, entering.length - Math.max(1, slots)));
  const except = entering.map((run) => run.id);
  const room = Math.max(0, slots - entering.length);
  const displaced = await listDisplaced(tx, { workspaceId, limitId, except, room, limit: CANCELLED_MAX });
  const reason = `A newer run of "${entering[0]?.deployment}" replaced it, because the limit of this deployment has the collision policy cancel-running.`;
  // In the order of ids, so that two transactions that make room at once cannot deadlock.
  const cancelled = [...displaced, ...older.map(({ id }) => id)].sort();
  for (const runId of cancelled)
    await mustCancel(tx, deps, { workspaceId, runId, reason, cause: "collision" });
  return cancelled;
}
