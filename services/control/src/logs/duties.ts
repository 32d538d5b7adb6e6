import { idFloor } from "@towpath/contract";
import type { Duty } from "../kernel/index.ts";
import { comingMonths, dropPartitions, keptSince, makePartition } from "../runs/index.ts";
import { FORGET_MAX, forgetArtifacts, forgetStrayLines } from "./store/retention.ts";

/** Makes the log partitions of this month and the next ones. Without it lines go to the default partition. */
export const logPartitionsDuty: Duty = {
  name: "log-partitions",
  everyMs: 3_600_000,
  async runOnce({ database, clock }) {
    for (const month of comingMonths(clock.nowMs())) {
      await makePartition(database.db, {
        ...{ parent: "log_chunk", name: `log_chunk_${month.name}` },
        ...{ from: idFloor(month.startMs), to: idFloor(month.endMs) },
      });
    }
    return { worked: false };
  },
};

/** Forgets log lines that are older than their retention, by whole months, and artifacts of runs that are forgotten. */
const logRetentionDuty: Duty = {
  name: "log-retention",
  everyMs: 3_600_000,
  async runOnce({ database, clock, config }) {
    const { db } = database;
    const before = await keptSince(db, clock, { retentionMs: config.logRetentionMs });
    await dropPartitions(db, { parent: "log_chunk", before });
    const chunks = await forgetStrayLines(db, before);
    const runsKept = await keptSince(db, clock, { retentionMs: config.historyRetentionMs });
    const artifacts = await forgetArtifacts(db, runsKept);
    return { worked: chunks === FORGET_MAX || artifacts === FORGET_MAX };
  },
};

/** The timed duties of logs. */
export const logsDuties: readonly Duty[] = [logPartitionsDuty, logRetentionDuty];
