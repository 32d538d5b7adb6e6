import { idFloor } from "@towpath/contract";
import type { Duty } from "../kernel/index.ts";
import { comingMonths, makePartition } from "../runs/index.ts";

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

/** The timed duties of logs. */
export const logsDuties: readonly Duty[] = [logPartitionsDuty];
