import type { PeriodicJob } from "../kernel/index.ts";
import { deleteUnseen } from "./store.ts";

/** The most workers that one round deletes. */
const FORGET_MAX = 1_000;

/** Deletes workers that have not been seen within the retention of history. A worker that returns is registered anew. */
const forgetWorkersPeriodicJob: PeriodicJob = {
  name: "forget-workers",
  everyMs: 3_600_000,
  async runOnce({ database, clock, config }) {
    const unseenMs = config.historyRetentionMs;
    const count = await deleteUnseen(database.db, { unseenMs, limit: FORGET_MAX, clock });
    return { worked: count === FORGET_MAX };
  },
};

/** The periodic jobs of pools. */
export const poolsPeriodicJobs: readonly PeriodicJob[] = [forgetWorkersPeriodicJob];
