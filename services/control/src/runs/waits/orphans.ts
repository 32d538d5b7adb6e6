import { type Deps, type Duty, inTransaction } from "../../kernel/index.ts";
import { cancelIn } from "../end/cancel.ts";
import { forgetOrphaning, listOrphaning, listOrphans, ORPHANING_BATCH, untilOrphans } from "./children.ts";

/** What a run that is cancelled with its parent is told. */
const REASON = "The run that started it has ended.";

/**
 * Cancels the children of runs that have ended, where they are to end with them. A duty, because whoever ends a run must not
 * want the locks of others; the row that it leaves with the end, in the same commit, cannot be missed.
 */
export const orphansDuty: Duty = {
  name: "orphans",
  everyMs: 5_000,
  nextInMs: () => untilOrphans(),
  async runOnce(deps) {
    const parents = await listOrphaning(deps.database.db);
    for (const parent of parents) await cancelChildren(deps, parent);
    return { worked: parents.length === ORPHANING_BATCH };
  },
};

async function cancelChildren(deps: Deps, parent: { workspaceId: string; parentId: string }): Promise<void> {
  const { workspaceId } = parent;
  for (const runId of await listOrphans(deps.database.db, parent))
    await inTransaction(deps, (tx) => cancelIn(tx, deps, { workspaceId, runId, reason: REASON }));
  await forgetOrphaning(deps.database.db, parent);
}
