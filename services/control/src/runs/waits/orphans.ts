import { perRowJob } from "../../kernel/index.ts";
import {
  forgetOrphaning,
  listOrphans,
  ORPHANS_BATCH,
  type Orphan,
  untilOrphans,
} from "../dependents/store.ts";
import { cancelIn } from "../end/cancel.ts";

/** What a run that is cancelled with its parent is told. */
const REASON = "The run that started it has ended.";

/**
 * Cancels the children of runs that have ended, where they are to end with them. A periodic job, because the end of a run must not
 * take the locks of others; the row that it leaves with the end, in the same commit, cannot be missed.
 */
export const orphansPeriodicJob = perRowJob<Orphan>({
  name: "orphans",
  everyMs: 5_000,
  hold: "claims-each",
  batch: ORPHANS_BATCH,
  nextInMs: (_deps, among) => untilOrphans(among),
  async find(from, _deps, which) {
    const orphans = await listOrphans(from, which);
    if (orphans.length === 0) await forgetOrphaning(from);
    return orphans;
  },
  async act(tx, deps, orphans) {
    for (const orphan of orphans) {
      const { workspaceId, id } = orphan;
      await cancelIn(tx, deps, { workspaceId, runId: id, reason: REASON });
      await forgetOrphaning(tx, orphan);
    }
  },
});
