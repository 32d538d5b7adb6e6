import { isFinalRunState, Problem } from "@towpath/contract";
import { type Tx, writeChanges } from "../../kernel/index.ts";
import { existingRun, isTaken, type RunName } from "../history/find.ts";
import { originOf } from "../rerun/checkpoints.ts";
import { deleteRows, findNeeding, lockWhole, type Needing } from "./store.ts";

/** A run that was just deleted. */
export interface RemovedRun {
  readonly attemptIds: readonly string[];
  readonly completed: boolean;
}

/**
 * Deletes a run that has ended, with all rows of this slice. The caller deletes those of the slices to the right.
 * @returns null if the run was deleted before.
 * @throws Problem `run-not-found`; `run-transition-not-allowed` before it has ended; `run-in-use` while another run needs it.
 */
export async function removeRun(tx: Tx, args: RunName): Promise<RemovedRun | null> {
  const locked = await lockWhole(tx, args);
  if (locked === null) {
    if (!(await isTaken(tx, args))) await existingRun(tx, args);
    return null;
  }
  const { row, attemptIds } = locked;
  const { endedAt } = row;
  if (!isFinalRunState(row.state) || endedAt === null)
    throw new Problem(
      "run-transition-not-allowed",
      `Run ${args.runId} is ${row.state}. Cancel it, or wait for its end, and remove it then.`,
    );
  const { parentId, hasDependents } = row;
  refuseNeeded(
    args.runId,
    await findNeeding(tx, { ...args, parentId, hasDependents, origin: originOf(row) }),
  );
  await deleteRows(tx, { ...args, endedAt, attemptIds });
  await writeChanges(tx, [
    { workspaceId: args.workspaceId, kind: "run", runId: args.runId, entityId: args.runId },
  ]);
  return { attemptIds, completed: row.state === "completed" };
}

/** @throws Problem `run-in-use` that says until when, or what to do. */
function refuseNeeded(runId: string, { parent, waiter, rerun, job }: Needing): void {
  const reason =
    parent !== null
      ? `Run ${parent} has started it and has not ended. If that run continues, it needs the result again. Remove it after that run has ended.`
      : waiter !== null
        ? `Run ${waiter} waits for its result and has not ended. Remove it after that run has ended.`
        : rerun !== null
          ? `Run ${rerun} is a rerun that reuses its results and has not ended. Remove it after that run has ended.`
          : job !== null
            ? `Its external job "${job}" is still being cancelled. Remove it after the job has ended.`
            : null;
  if (reason !== null) throw new Problem("run-in-use", `Run ${runId} cannot be removed yet. ${reason}`);
}
