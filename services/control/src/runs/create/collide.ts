import type { Deps, Tx } from "../../kernel/index.ts";
import { enterWaitList } from "../admit/admission.ts";
import { type EnteringRun, listDisplaced, readEntering } from "../admit/store.ts";
import { mustCancel } from "../end/cancel.ts";

/** The most runs that are cancelled for runs that enter in one transaction. */
const CANCELLED_MAX = 200;

/**
 * Lets due runs enter their wait lists by `enterWaitList`. If a deployment's limit has the policy `cancel-running`,
 * cancels its oldest runs, waiting ones included, until the newest fit. A run with an earlier attempt cancels none. The
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
  for (const [limitId, entering] of Map.groupBy(colliding, (run) => run.limitId ?? ""))
    await makeRoom(tx, deps, { workspaceId, limitId, entering });
  for (const run of runs) enterWaitList(tx, deps, { workspaceId, id: run.id, entering: run });
}

async function makeRoom(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; limitId: string; entering: readonly EnteringRun[] },
): Promise<void> {
  const { workspaceId, limitId, entering } = args;
  const except = entering.map((run) => run.id);
  const room = Math.max(0, (entering[0]?.slots ?? 0) - entering.length);
  const displaced = await listDisplaced(tx, { workspaceId, limitId, except, room, limit: CANCELLED_MAX });
  const reason = `A newer run of "${entering[0]?.deployment}" replaced it, because the limit of this deployment has the collision policy cancel-running.`;
  // In the order of ids, so that two transactions that make room at once cannot deadlock.
  for (const runId of displaced.sort()) await mustCancel(tx, deps, { workspaceId, runId, reason });
}
