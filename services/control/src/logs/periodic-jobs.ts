import { idFloor } from "@towpath/contract";
import type { Database, PeriodicJob } from "../kernel/index.ts";
import {
  comingMonths,
  dropPartition,
  keepsAttemptOf,
  keptSince,
  listPartitions,
  type Month,
  makePartition,
} from "../runs/index.ts";
import { FORGET_MAX, forgetArtifacts, forgetLines } from "./store/retention.ts";

/** Makes the log partitions of this month and the next ones. Without it lines go to the default partition. */
export const logPartitionsPeriodicJob: PeriodicJob = {
  name: "log-partitions",
  everyMs: 3_600_000,
  async runOnce({ database, clock }) {
    for (const month of comingMonths(clock.nowMs())) {
      await makePartition(database.db, {
        parent: "log_chunk",
        name: `log_chunk_${month.name}`,
        from: idFloor(month.startMs),
        to: idFloor(month.endMs),
      });
    }
    return { worked: false };
  },
};

/**
 * Drops the partitions of months before one, but for those where a run that has not ended, or not before that month, has an
 * attempt: chunks lie in the partition of their attempt's creation, and an attempt may take longer than its month is kept.
 * @returns The tables that hold old lines still.
 */
async function dropLines(db: Database["db"], before: Month): Promise<string[]> {
  const held = ["log_chunk_default"];
  for (const { name, month } of await listPartitions(db, { parent: "log_chunk", before })) {
    if (await keepsAttemptOf(db, { month, since: before })) held.push(name);
    else await dropPartition(db, name);
  }
  return held;
}

/**
 * Deletes the logs of runs that ended longer ago than their retention, by whole months, and artifacts of runs that are
 * forgotten.
 */
const logRetentionPeriodicJob: PeriodicJob = {
  name: "log-retention",
  everyMs: 3_600_000,
  async runOnce({ database, clock, config }) {
    const { db } = database;
    const before = await keptSince(db, clock, { retentionMs: config.logRetentionMs });
    let isMore = false;
    for (const table of await dropLines(db, before))
      isMore = (await forgetLines(db, { table, before })) === FORGET_MAX || isMore;
    const runsKept = await keptSince(db, clock, { retentionMs: config.historyRetentionMs });
    const artifacts = await forgetArtifacts(db, runsKept);
    return { worked: isMore || artifacts === FORGET_MAX };
  },
};

/** The timed periodic jobs of logs. */
export const logsPeriodicJobs: readonly PeriodicJob[] = [logPartitionsPeriodicJob, logRetentionPeriodicJob];
