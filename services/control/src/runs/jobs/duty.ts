import { type Duty, inTransaction } from "../../kernel/index.ts";
import { endJobs } from "./end.ts";
import { LEAVING_BATCH, listGivenUp, untilGivenUp } from "./store.ts";

/** Who a job is given up by. */
const GIVER = "control plane";

/** Leaves external jobs alone that could not be cancelled in time, so that their runs end. */
export const jobsDuty: Duty = {
  name: "jobs",
  everyMs: 5_000,
  nextInMs: ({ clock }) => untilGivenUp(clock),
  async runOnce(deps) {
    const late = await listGivenUp(deps.database.db, deps.clock);
    for (const [workspaceId, ones] of Map.groupBy(late, (one) => one.workspaceId)) {
      const over = ones.map(({ jobId, runId }) => {
        return { jobId, runId, by: "leave" as const, outcome: null, lease: null };
      });
      await inTransaction(deps, (tx) => endJobs(tx, deps, { workspaceId, over, answeredBy: GIVER }));
    }
    return { worked: late.length === LEAVING_BATCH };
  },
};
