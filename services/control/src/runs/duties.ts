import { RUN_TRANSITIONS, uuidv7 } from "@towpath/contract";
import { type Deps, type Duty, inTransaction, type Tx, writeChanges } from "../kernel/index.ts";
import { linesToLook, untilLook } from "../limits/index.ts";
import { lookAtLine } from "./admit/admission.ts";
import { enterAnew } from "./create/collide.ts";
import { expireDuty } from "./end/expire.ts";
import { jobsDuty } from "./jobs/duty.ts";
import { lapseClaim, loseAttempt } from "./lease/lose.ts";
import { comingMonths } from "./past/months.ts";
import { checkpointRetentionDuty } from "./rerun/delete-checkpoints.ts";
import { ARCHIVE_BATCH, archiveEnded, untilArchived } from "./store/archive.ts";
import { insertAttempts } from "./store/create.ts";
import { DUE_BATCH, lockDue, makeReady, untilDue } from "./store/due.ts";
import { type Batch, LEASE_BATCH, lockLapsed, lockLost, untilLeaseEnds } from "./store/leases.ts";
import { dropPartitions, keptSince, makePartition } from "./store/partitions.ts";
import { FORGET_MAX, forgetKeys, forgetLate, forgetStray, forgetTraces } from "./store/retention.ts";
import type { AttemptRow } from "./table.ts";
import { forgetEventsDuty, waitsDuty } from "./waits/duty.ts";
import { orphansDuty } from "./waits/orphans.ts";
import { wakeAfterCommit } from "./wake.ts";
import { runChange } from "./wire.ts";

/** The history tables, which have one partition for each month. */
const HISTORY_TABLES = ["run_history", "attempt_history", "task_run_history"] as const;

/** Gives scheduled runs that are due their attempt, first due first; those that need slots take them or block. */
export const dueDuty: Duty = {
  name: "due",
  everyMs: 250,
  nextInMs: ({ clock }) => untilDue(clock),
  async runOnce(deps) {
    const count = await inTransaction(deps, async (tx) => {
      const due = await lockDue(tx, deps.clock);
      if (due.length === 0) return 0;
      const limited = Map.groupBy(
        due.filter((one) => one.limited),
        (one) => one.workspaceId,
      );
      for (const [workspaceId, ones] of limited)
        await enterAnew(tx, deps, { workspaceId, runIds: ones.map((one) => one.id) });
      const free = due.filter((one) => !one.limited);
      const ready = await makeReady(tx, {
        runs: free.map((one) => ({ ...one, attemptId: uuidv7(deps.clock.nowMs()) })),
        from: RUN_TRANSITIONS.due.from,
      });
      await insertAttempts(tx, deps.clock, ready);
      await writeChanges(tx, ready.map(runChange));
      for (const row of ready) wakeAfterCommit(tx, "pool", row.poolId);
      return due.length;
    });
    return { worked: count === DUE_BATCH };
  },
};

/** Looks at lines where something may go that nobody was there to admit: tokens returned, limits changed, steps cut short. */
export const admitDuty: Duty = {
  name: "admit",
  everyMs: 1_000,
  nextInMs: ({ clock }) => untilLook(clock),
  async runOnce(deps) {
    const lines = await linesToLook(deps.database.db, deps.clock);
    if (lines.length === 0) return { worked: false };
    await inTransaction(deps, async (tx) => {
      for (const line of lines) lookAtLine(tx, deps, line);
    });
    return { worked: lines.some((line) => line.isDue) };
  },
};

/** How a lease duty finds its attempts, and what it does with each. */
interface Settling {
  lock(tx: Tx, batch: Batch): Promise<AttemptRow[]>;
  settle(tx: Tx, deps: Deps, held: AttemptRow): Promise<void>;
}

/** Settles a batch in one transaction; one by one if that fails, so that a single attempt cannot hold up all others. */
async function settleEach(deps: Deps, a: Settling): Promise<{ worked: boolean }> {
  try {
    const count = await inTransaction(deps, async (tx) => {
      const locked = await a.lock(tx, { limit: LEASE_BATCH, except: [] });
      for (const held of locked) await a.settle(tx, deps, held);
      return locked.length;
    });
    return { worked: count === LEASE_BATCH };
  } catch (error) {
    deps.log.error({ err: error }, "a batch of leases failed; trying its attempts one by one");
    await settleOneByOne(deps, a);
    return { worked: false };
  }
}

async function settleOneByOne(deps: Deps, a: Settling): Promise<void> {
  const except: string[] = [];
  for (let round = 0; round < LEASE_BATCH; round++) {
    let attemptId: string | undefined;
    try {
      const found = await inTransaction(deps, async (tx) => {
        const [held] = await a.lock(tx, { limit: 1, except });
        attemptId = held?.id;
        if (held !== undefined) await a.settle(tx, deps, held);
        return held !== undefined;
      });
      if (!found) return;
    } catch (error) {
      if (attemptId === undefined) throw error;
      deps.log.error({ err: error, attempt: attemptId }, "an attempt's lease could not be settled");
      except.push(attemptId);
    }
  }
}

/** Declares attempts lost whose worker has been silent past its lease and grace, though it could have reached us. */
export const loseDuty: Duty = {
  name: "lose",
  everyMs: 1_000,
  nextInMs: ({ clock }) => untilLeaseEnds(clock),
  runOnce: (deps) =>
    settleEach(deps, {
      lock: (tx, batch) => lockLost(tx, deps.clock, { ...batch, config: deps.config }),
      settle: loseAttempt,
    }),
};

/** Takes back claims whose start was not confirmed in time. */
export const lapseDuty: Duty = {
  name: "lapse",
  everyMs: 1_000,
  nextInMs: ({ clock }) => untilLeaseEnds(clock),
  runOnce: (deps) =>
    settleEach(deps, {
      lock: (tx, batch) => lockLapsed(tx, deps.clock, { ...batch, config: deps.config }),
      settle: lapseClaim,
    }),
};

/** Moves what ended a while ago from the live tables to history. */
export const archiveDuty: Duty = {
  name: "archive",
  everyMs: 5_000,
  nextInMs: ({ clock, config }) => untilArchived(clock, { afterMs: config.archiveAfterMs }),
  async runOnce(deps) {
    const afterMs = deps.config.archiveAfterMs;
    const count = await inTransaction(deps, (tx) => archiveEnded(tx, deps.clock, { afterMs }));
    return { worked: count === ARCHIVE_BATCH };
  },
};

/** Makes the history partitions of this month and the next ones. Without it rows go to the default partition. */
export const historyPartitionsDuty: Duty = {
  name: "history-partitions",
  everyMs: 3_600_000,
  async runOnce({ database, clock }) {
    for (const month of comingMonths(clock.nowMs())) {
      for (const parent of HISTORY_TABLES) {
        await makePartition(database.db, {
          ...{ parent, name: `${parent}_${month.name}` },
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
const retentionDuty: Duty = {
  name: "history-retention",
  everyMs: 3_600_000,
  async runOnce({ database, clock, config }) {
    const before = await keptSince(database.db, clock, { retentionMs: config.historyRetentionMs });
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

/** The timed duties of runs. */
export const runsDuties: readonly Duty[] = [
  ...[dueDuty, admitDuty, expireDuty, waitsDuty, jobsDuty, orphansDuty, loseDuty, lapseDuty, archiveDuty],
  ...[historyPartitionsDuty, checkpointRetentionDuty, retentionDuty, forgetEventsDuty],
];
