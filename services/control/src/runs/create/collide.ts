import type { Deps, Tx } from "../../kernel/index.ts";
import { enterLine } from "../admit/admission.ts";
import { type EnteringRun, listDisplaced, readEntering } from "../admit/store.ts";
import { mustCancel } from "../end/cancel.ts";

/** The most runs that are cancelled for those which enter in one transaction. */
const CANCELLED_MAX = 200;

/**
 * Lets runs that are due enter their lines, as `enterLine`. Where a deployment's limit says
 * `cancel-running`, the oldest of its runs are cancelled, those that wait included, until the newer ones fit beside what
 * is left: the newest stay; a run that goes on after an attempt displaces none. The caller holds the locks of the runs that enter.
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
  for (const run of runs) enterLine(tx, deps, { workspaceId, id: run.id, entering: run });
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
  const reason = `A newer run of "${entering[0]?.deployment}" takes its place: its limit says cancel-running.`;
  // In the order of ids, so that two that make room at once do not wait for each other.
  for (const runId of displaced.sort()) await mustCancel(tx, deps, { workspaceId, runId, reason });
}
