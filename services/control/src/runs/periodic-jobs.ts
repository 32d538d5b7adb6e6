import { type PeriodicJob, perRowJob } from "../kernel/index.ts";
import { type DueWaitList, dueWaitLists, LOOK_BATCH, untilLook } from "../limits/index.ts";
import { lookAtLine } from "./admit/admission.ts";
import { duePeriodicJob } from "./create/due.ts";
import { expirePeriodicJob } from "./end/expire.ts";
import { ARCHIVE_BATCH, archiveEnded, type EndedRun, lockEnded, untilArchived } from "./history/archive.ts";
import { forgetVersionsPeriodicJob } from "./history/forget-versions.ts";
import { noteChildren } from "./history/kept-children.ts";
import { comingMonths } from "./history/months.ts";
import { dropPartitions, keptSince, makePartition } from "./history/partitions.ts";
import { FORGET_MAX, forgetKeys, forgetLate, forgetStray, forgetTraces } from "./history/retention.ts";
import { jobsPeriodicJob } from "./jobs/periodic-job.ts";
import { lapseClaim, loseAttempt } from "./lease/lose.ts";
import { type LapsedRow, LEASE_BATCH, lockLapsed, lockLost, untilLeaseEnds } from "./lease/store.ts";
import { checkpointRetentionPeriodicJob } from "./rerun/delete-checkpoints.ts";
import { orphansPeriodicJob } from "./waits/orphans.ts";
import { forgetEventsPeriodicJob, waitsPeriodicJob } from "./waits/periodic-job.ts";

/** The history tables, which have one partition for each month. */
const HISTORY_TABLES = ["run_history", "attempt_history", "task_run_history"] as const;

/** Looks at lines where something may go that nobody was there to admit: tokens returned, limits changed, steps cut short. */
export const admitPeriodicJob = perRowJob<DueWaitList>({
  name: "admit",
  everyMs: 1_000,
  hold: "claims",
  batch: LOOK_BATCH,
  repeats: true,
  nextInMs: ({ clock }, among) => untilLook(clock, among),
  find: (from, { clock }, which) => dueWaitLists(from, clock, which),
  async act(tx, deps, lines) {
    for (const line of lines) lookAtLine(tx, deps, line);
  },
});

/** Declares attempts lost whose worker has been silent past its lease and grace, though it could have reached us. */
export const losePeriodicJob = perRowJob<LapsedRow>({
  name: "lose",
  everyMs: 1_000,
  hold: "locks",
  batch: LEASE_BATCH,
  nextInMs: ({ clock }) => untilLeaseEnds(clock),
  find: (from, { clock, config }, which) => lockLost(from, clock, { ...which, config }),
  async act(tx, deps, lost) {
    for (const held of lost) await loseAttempt(tx, deps, held);
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

/** Moves what ended a while ago from the live tables to history. */
export const archivePeriodicJob = perRowJob<EndedRun>({
  name: "archive",
  everyMs: 5_000,
  hold: "locks",
  batch: ARCHIVE_BATCH,
  nextInMs: ({ clock, config }, among) => untilArchived(clock, { afterMs: config.archiveAfterMs, among }),
  find: (from, { clock, config }, which) =>
    lockEnded(from, clock, { ...which, afterMs: config.archiveAfterMs }),
  act: (tx, _deps, ended) => archiveEnded(tx, ended),
});

/** Makes the history partitions of this month and the next ones. Without it rows go to the default partition. */
export const historyPartitionsPeriodicJob: PeriodicJob = {
  name: "history-partitions",
  everyMs: 3_600_000,
  async runOnce({ database, clock }) {
    for (const month of comingMonths(clock.nowMs())) {
      for (const parent of HISTORY_TABLES) {
        await makePartition(database.db, {
          parent,
          name: `${parent}_${month.name}`,
          from: new Date(month.startMs).toISOString(),
          to: new Date(month.endMs).toISOString(),
        });
      }
    }
    return { worked: false };
  },
};

/**
 * Forgets runs that ended longer ago than the retention, by whole months. The rows first, then that their ids were taken:
 * a list never shows a run that nobody can open.
 */
const retentionPeriodicJob: PeriodicJob = {
  name: "history-retention",
  everyMs: 3_600_000,
  async runOnce({ database, clock, config }) {
    const before = await keptSince(database.db, clock, { retentionMs: config.historyRetentionMs });
    if ((await noteChildren(database.db, before)) === FORGET_MAX) return { worked: true };
    let dropped = true;
    for (const parent of HISTORY_TABLES) {
      dropped = (await dropPartitions(database.db, { parent, before })) && dropped;
    }
    if (!dropped) return { worked: false };
    const stray = await forgetStray(database.db, before);
    if (stray > 0) return { worked: true };
    const keys = await forgetKeys(database.db, before);
    const late = await forgetLate(database.db, before);
    const waits = await forgetTraces(database.db, { table: "wait", before });
    const jobs = await forgetTraces(database.db, { table: "job", before });
    return { worked: [keys, late, waits, jobs].includes(FORGET_MAX) };
  },
};

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
