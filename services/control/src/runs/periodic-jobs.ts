import { type PeriodicJob, perRowJob } from "../kernel/index.ts";
import { type DueWaitList, dueWaitLists, LOOK_BATCH, untilLook } from "../limits/index.ts";
import { checkWaitList } from "./admit/admission.ts";
import { duePeriodicJob } from "./create/due.ts";
import { expirePeriodicJob } from "./end/expire.ts";
import {
  archivePeriodicJob,
  forgetVersionsPeriodicJob,
  historyPartitionsPeriodicJob,
  retentionPeriodicJob,
} from "./history/periodic-jobs.ts";
import { jobsPeriodicJob } from "./jobs/end.ts";
import { goneErrorOf, lapseClaim, loseAttempt } from "./lease/lose.ts";
import {
  type LapsedRow,
  LEASE_BATCH,
  type LostRow,
  lockLapsed,
  lockLost,
  untilLeaseEnds,
} from "./lease/store.ts";
import { checkpointRetentionPeriodicJob } from "./rerun/delete-checkpoints.ts";
import { forgetEventsPeriodicJob, orphansPeriodicJob, waitsPeriodicJob } from "./waits/periodic-jobs.ts";

/**
 * Checks wait lists where a run may start that no transaction has admitted: after returned tokens, changed limits and
 * interrupted steps.
 */
export const admitPeriodicJob = perRowJob<DueWaitList>({
  name: "admit",
  everyMs: 1_000,
  hold: "claims",
  batch: LOOK_BATCH,
  repeats: true,
  nextInMs: ({ clock }, among) => untilLook(clock, among),
  find: (from, { clock }, which) => dueWaitLists(from, clock, which),
  async act(tx, deps, waitLists) {
    for (const list of waitLists) checkWaitList(tx, deps, list);
  },
});

/** Declares attempts lost whose worker was silent past its lease and grace while the control plane was reachable. */
export const losePeriodicJob = perRowJob<LostRow>({
  name: "lose",
  everyMs: 1_000,
  hold: "locks",
  batch: LEASE_BATCH,
  nextInMs: ({ clock }) => untilLeaseEnds(clock),
  find: (from, { clock, config }, which) => lockLost(from, clock, { ...which, config }),
  async act(tx, deps, lost) {
    for (const held of lost) await loseAttempt(tx, deps, held, goneErrorOf(held));
  },
});

/** Takes back claims whose start was not confirmed in time. */
export const lapsePeriodicJob = perRowJob<LapsedRow>({
  name: "lapse",
  everyMs: 1_000,
  hold: "locks",
  batch: LEASE_BATCH,
  nextInMs: ({ clock }) => untilLeaseEnds(clock),
  find: (from, { clock, config }, which) => lockLapsed(from, clock, { ...which, config }),
  async act(tx, deps, lapsed) {
    for (const held of lapsed) await lapseClaim(tx, deps, held);
  },
});

/** The timed periodic jobs of runs. */
export const runsPeriodicJobs: readonly PeriodicJob[] = [
  duePeriodicJob,
  admitPeriodicJob,
  expirePeriodicJob,
  waitsPeriodicJob,
  jobsPeriodicJob,
  orphansPeriodicJob,
  losePeriodicJob,
  lapsePeriodicJob,
  archivePeriodicJob,
  historyPartitionsPeriodicJob,
  checkpointRetentionPeriodicJob,
  retentionPeriodicJob,
  forgetEventsPeriodicJob,
  forgetVersionsPeriodicJob,
];
