import { Problem, type Trigger, uuidv7 } from "@towpath/contract";
import { type Deps, type Duty, dateOf, inTransaction, type Tx } from "../kernel/index.ts";
import { cancelIn, createIn } from "../runs/index.ts";
import { backfillDuty } from "./backfills/duty.ts";
import { decide, type Fitted, fitOverlap, type SkipReason } from "./decide.ts";
import { announce } from "./schedules.ts";
import * as store from "./store.ts";
import type { Recurrence } from "./timing/recurrence.ts";
import { instantsOf, sentenceOf } from "./timing/timing.ts";

/** The most that one round of forgetting deletes. */
const FORGET_MAX = 5_000;

type Undecided = Awaited<ReturnType<typeof store.lockUndecided>>[number];

/** Problems with which a run cannot be asked for, and that asking again would not mend. */
const SKIPPED_FOR: Partial<Record<string, SkipReason>> = {
  "invalid-parameters": "invalid-parameters",
  "payload-too-large": "invalid-parameters",
  "deployment-not-found": "deployment-not-found",
};

function decided(row: Undecided, nowMs: number): { instants: Recurrence; fitted: Fitted } {
  const instants = instantsOf(row.settings);
  const cursorMs = row.cursorAt.getTime();
  const decision = decide({ recurrence: instants, policy: row.settings, cursorMs, nowMs });
  const { overlap } = row.settings;
  return { instants, fitted: fitOverlap(decision, { overlap, live: row.live, cursorMs }) };
}

/** Spreads instants by the same share for the same instant, whoever computes it. */
function jitterOf(row: Undecided, atMs: number): number {
  const { jitterMs } = row.settings;
  if (jitterMs === 0) return 0;
  let hash = 0;
  for (const char of `${row.id} ${atMs}`) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0;
  return (hash >>> 0) % (jitterMs + 1);
}

function instantRow(row: Undecided, a: { atMs: number; untilMs?: number; nowMs: number }) {
  return {
    ...{ workspaceId: row.workspaceId, scheduleId: row.id, at: dateOf(a.atMs) },
    until: a.untilMs === undefined || a.untilMs === a.atMs ? null : dateOf(a.untilMs),
    decidedAt: dateOf(a.nowMs),
  };
}

async function createAt(
  tx: Tx,
  deps: Deps,
  a: { row: Undecided; runId: string; atMs: number; nowMs: number; intervalStartMs: number },
): Promise<void> {
  const { row, atMs } = a;
  const { parameters, priority, tags } = row.settings;
  const dueMs = atMs + jitterOf(row, atMs);
  const trigger: Trigger = {
    ...{ kind: "schedule", schedule: row.name, dueAt: dateOf(atMs).toISOString() },
    intervalStart: dateOf(a.intervalStartMs).toISOString(),
  };
  const scheduledAt = dueMs > a.nowMs ? dateOf(dueMs).toISOString() : undefined;
  const request = { id: a.runId, deployment: row.deployment, parameters, priority, tags, scheduledAt };
  await createIn(tx, deps, { workspaceId: row.workspaceId, request, trigger });
}

/** Asks for the runs of a decision, each under the key of its instant, which another process may have taken. */
async function createRuns(
  tx: Tx,
  deps: Deps,
  a: { row: Undecided; runs: readonly number[]; nowMs: number; instants: Recurrence },
): Promise<string | null> {
  const { row, nowMs } = a;
  const wanted = a.runs.map((atMs) => ({
    ...{ ...instantRow(row, { atMs, nowMs }), runId: uuidv7(deps.clock.nowMs()), skipped: null },
  }));
  let last: string | null = null;
  for (const { at, runId } of await store.insertInstants(tx, wanted)) {
    if (runId === null) continue;
    const atMs = at.getTime();
    const intervalStartMs = a.instants.previous(atMs) ?? atMs;
    try {
      await createAt(tx, deps, { row, runId, atMs, nowMs, intervalStartMs });
      last = runId;
    } catch (error) {
      const skipped = error instanceof Problem ? SKIPPED_FOR[error.code] : undefined;
      if (skipped === undefined) throw error;
      deps.log.warn({ schedule: row.id, at, reason: skipped }, "a schedule's run could not be asked for");
      await store.markSkipped(tx, { workspaceId: row.workspaceId, scheduleId: row.id, at, skipped });
    }
  }
  return last;
}

/** Decides one schedule's instants up to now: its runs, what is skipped and where it stands commit together. */
async function decideOne(tx: Tx, deps: Deps, a: { row: Undecided; nowMs: number }): Promise<void> {
  const { row, nowMs } = a;
  const { workspaceId, id } = row;
  const { instants, fitted } = decided(row, nowMs);
  const { runs, skipped, cursorMs, waits } = fitted;
  const skips = skipped.map(({ fromMs, untilMs, reason }) => ({
    ...{ ...instantRow(row, { atMs: fromMs, untilMs, nowMs }), runId: null, skipped: reason },
  }));
  await store.insertInstants(tx, skips);
  const last = await createRuns(tx, deps, { row, runs, nowMs, instants });
  if (row.live && waits && row.settings.overlap === "cancel-running" && row.lastRunId !== null) {
    const reason = `schedule ${row.name} is due again`;
    await cancelIn(tx, deps, { workspaceId, runId: row.lastRunId, reason });
  }
  const nextMs = instants.next(cursorMs);
  await store.updateSchedule(tx, {
    ...{ workspaceId, id },
    set: {
      ...{ cursorAt: dateOf(cursorMs), nextAt: nextMs === null ? null : dateOf(nextMs), waits },
      ...(last === null ? {} : { lastRunId: last }),
    },
  });
  await announce(tx, row);
}

/** A schedule whose rule can no longer be computed is set aside, and says so; the others go on. */
async function setAside(tx: Tx, row: Undecided, cause: unknown): Promise<void> {
  const { workspaceId, id } = row;
  const set = { nextAt: null, waits: false, fault: sentenceOf(cause) };
  await store.updateSchedule(tx, { workspaceId, id, set });
  await announce(tx, row);
}

function computable(row: Undecided, nowMs: number): { fault: unknown } | null {
  try {
    decided(row, nowMs);
    return null;
  } catch (fault) {
    return { fault };
  }
}

/**
 * Decides the instants of schedules that are due. Any number of processes may run it: each locks what it decides, and the
 * key of an instant keeps it from two runs whatever happens.
 */
export const schedulesDuty: Duty = {
  name: "schedules",
  everyMs: 1_000,
  nextInMs: ({ clock }) => store.untilScheduleDue(clock),
  async runOnce(deps) {
    const count = await inTransaction(deps, async (tx) => {
      const rows = await store.lockUndecided(tx, deps.clock);
      if (rows.length === 0) return 0;
      const nowMs = await store.readNowMs(tx, deps.clock);
      for (const row of rows) {
        const broken = computable(row, nowMs);
        if (broken === null) await decideOne(tx, deps, { row, nowMs });
        else await setAside(tx, row, broken.fault);
      }
      return rows.length;
    });
    return { worked: count > 0 };
  },
};

/** Forgets what was decided longer ago than history is kept. */
export const forgetInstantsDuty: Duty = {
  name: "forget-instants",
  everyMs: 3_600_000,
  async runOnce({ database, clock, config }) {
    const { historyRetentionMs } = config;
    const count = await store.forgetInstants(database.db, {
      ...{ clock, retentionMs: historyRetentionMs, limit: FORGET_MAX },
    });
    return { worked: count === FORGET_MAX };
  },
};

/** The timed duties of schedules. */
export const schedulesDuties: readonly Duty[] = [schedulesDuty, backfillDuty, forgetInstantsDuty];
