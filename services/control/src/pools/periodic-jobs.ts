import type { PeriodicJob } from "../kernel/index.ts";
import { deleteUnseen } from "./store.ts";

/** The most workers that one round forgets. */
const FORGET_MAX = 1_000;

/** Forgets workers that have not been seen for as long as history is kept; one that comes back is noted anew. */
const forgetWorkersPeriodicJob: PeriodicJob = {
  name: "forget-workers",
  everyMs: 3_600_000,
  async runOnce({ database, clock, config }) {
    const unseenMs = config.historyRetentionMs;
    const count = await deleteUnseen(database.db, { unseenMs, limit: FORGET_MAX, clock });
    return { worked: count === FORGET_MAX };
  },
};

/** The timed periodic jobs of pools. */
export const poolsPeriodicJobs: readonly PeriodicJob[] = [forgetWorkersPeriodicJob];
