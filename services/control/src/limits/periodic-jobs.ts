import { inTransaction, type PeriodicJob } from "../kernel/index.ts";
import { deleteEmptyWaitLists, EMPTY_BATCH } from "./store/wait-lists.ts";

/** The most batches of one round. */
const BATCHES_MAX = 100;
const FIRST_ID = "00000000-0000-0000-0000-000000000000";

/** Deletes empty wait lists. */
const deleteWaitListsPeriodicJob: PeriodicJob = {
  name: "forget-wait-lists",
  everyMs: 6 * 3_600_000,
  async runOnce(deps) {
    let after = FIRST_ID;
    for (let batch = 0; batch < BATCHES_MAX; batch++) {
      const seen = await inTransaction(deps, (tx) => deleteEmptyWaitLists(tx, after));
      after = seen.at(-1)?.id ?? after;
      if (seen.length < EMPTY_BATCH) break;
    }
    return { worked: false };
  },
};

/** The periodic jobs of limits. */
export const limitsPeriodicJobs: readonly PeriodicJob[] = [deleteWaitListsPeriodicJob];
