import { Problem } from "@towpath/contract";
import { type Deps, inTransaction, perRowJob } from "../../kernel/index.ts";
import { existingRun, type RunName } from "../history/find.ts";
import { lockRun } from "../moves/locks.ts";
import { hasEnded } from "../moves/state.ts";
import { DELETE_REFS_BATCH, deleteRefs, listWithRefs } from "./checkpoints-store.ts";

/**
 * Deletes the refs of what a run that has ended left in the store. Idempotent.
 * @returns How many refs there were.
 * @throws Problem `run-not-found`; `run-transition-not-allowed` before it has ended: it may go on from them.
 */
export async function deleteCheckpointsOf(deps: Deps, args: RunName): Promise<number> {
  return inTransaction(deps, async (tx) => {
    const row = (await lockRun(tx, args)) ?? (await existingRun(tx, args));
    if (hasEnded(row)) return deleteRefs(tx, deps.clock, args);
    throw new Problem(
      "run-transition-not-allowed",
      `Run ${args.runId} is ${row.state} and may still need its checkpoints. Delete them when it has ended, or cancel it first.`,
    );
  });
}

/** Deletes the checkpoints of runs that ended longer ago than checkpoints are kept. */
export const checkpointRetentionPeriodicJob = perRowJob({
  name: "checkpoint-retention",
  everyMs: 3_600_000,
  hold: "claims-each",
  batch: DELETE_REFS_BATCH,
  async find(from, { clock, config }, which) {
    const retentionMs = config.checkpointRetentionMs;
    return retentionMs === null ? [] : listWithRefs(from, clock, { ...which, retentionMs });
  },
  async act(tx, deps, old) {
    for (const { workspaceId, id } of old) await deleteRefs(tx, deps.clock, { workspaceId, runId: id });
  },
});
