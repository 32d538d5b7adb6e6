import { deleteVersion, type SupersededVersion, selectSuperseded } from "../../deployments/index.ts";
import {
  comingMonths,
  type Deps,
  dropPartitions,
  inTransaction,
  keptSince,
  makePartition,
  type PeriodicJob,
  perRowJob,
} from "../../kernel/index.ts";
import { ARCHIVE_BATCH, archiveEnded, type EndedRun, lockEnded, untilArchived } from "./archive.ts";
import { noteChildren } from "./kept-children.ts";
import {
  FORGET_MAX,
  forgetKeys,
  forgetLate,
  forgetStray,
  forgetTraces,
  isVersionNeeded,
} from "./retention.ts";

/** The history tables, which have one partition for each month. */
const HISTORY_TABLES = ["run_history", "attempt_history", "task_run_history"] as const;

/** Moves runs that ended a while ago from the live tables to history. */
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

/** Creates the history partitions of this month and the next ones. Without them, rows go to the default partition. */
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
 * Deletes runs that ended longer ago than the retention, by whole months. Deletes the rows first and then the taken
 * ids, so that a list never shows a run that cannot be opened.
 */
export const retentionPeriodicJob: PeriodicJob = {
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

/** The most versions that one round looks at: each one reads its deployment's history. */
const VERSIONS_BATCH = 50;

/**
 * Deletes versions of deployments that were replaced longer ago than the retention and that no live run, no run in
 * history and no open job uses. The latest version of each deployment always stays, since schedules and new runs use
 * it.
 */
export const forgetVersionsPeriodicJob: PeriodicJob = {
  name: "forget-versions",
  everyMs: 6 * 3_600_000,
  async runOnce(deps) {
    const { database, clock, config } = deps;
    const which = { agoMs: config.historyRetentionMs, limit: VERSIONS_BATCH };
    const old = await selectSuperseded(database.db, clock, which);
    let gone = 0;
    for (const version of old) if (await forget(deps, version)) gone += 1;
    return { worked: old.length === VERSIONS_BATCH && gone > 0 };
  },
};

async function forget(deps: Deps, version: SupersededVersion): Promise<boolean> {
  if (await isVersionNeeded(deps.database.db, version)) return false;
  await inTransaction(deps, (tx) => deleteVersion(tx, version));
  return true;
}
