import { idFloor } from "@towpath/contract";
import {
  comingMonths,
  type Database,
  dropPartition,
  keptSince,
  listPartitions,
  type Month,
  makePartition,
  type PeriodicJob,
} from "../kernel/index.ts";
import { keepsAttemptOf } from "../runs/index.ts";
import { FORGET_MAX, forgetArtifacts, forgetLines } from "./store/retention.ts";

/** Creates the log partitions of this month and the next ones. Without them, lines go to the default partition. */
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
 * Drops the partitions of months before a given one. A chunk is in the partition of its attempt's creation. So a partition
 * stays if an attempt in it belongs to a run that has not ended before the given month.
 * @returns the remaining tables with old lines.
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
 * Deletes logs that are past their retention, by whole months, and artifacts of deleted runs.
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

/** The periodic jobs of logs. */
export const logsPeriodicJobs: readonly PeriodicJob[] = [logPartitionsPeriodicJob, logRetentionPeriodicJob];
