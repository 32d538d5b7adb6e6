import { perRowJob } from "../../kernel/index.ts";
import { endJobs } from "./end.ts";
import { type GivenUpJob, LEAVING_BATCH, listGivenUp, untilGivenUp } from "./store.ts";

/** Who a job is given up by. */
const GIVER = "control plane";

/** Leaves external jobs alone that could not be cancelled in time, so that their runs end. */
export const jobsPeriodicJob = perRowJob<GivenUpJob>({
  name: "jobs",
  everyMs: 5_000,
  hold: "claims",
  batch: LEAVING_BATCH,
  nextInMs: ({ clock }, among) => untilGivenUp(clock, among),
  find: (from, { clock }, which) => listGivenUp(from, clock, which),
  async act(tx, deps, late) {
    const over = late.map(({ id, subjectId }) => {
      return { jobId: id, runId: subjectId, by: "leave" as const, outcome: null, lease: null };
    });
    await endJobs(tx, deps, { workspaceId: late[0]?.workspaceId ?? "", over, answeredBy: GIVER });
  },
});
