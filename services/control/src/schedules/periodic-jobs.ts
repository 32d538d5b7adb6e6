import { Problem, type Trigger, uuidv7 } from "@towpath/contract";
import { type Deps, dateOf, keptSince, type PeriodicJob, perRowJob, type Tx } from "../kernel/index.ts";
import { cancelWithin, createManyIn, type OneRequest } from "../runs/index.ts";
import { announce } from "./announce.ts";
import { backfillPeriodicJob, forgetBackfillsPeriodicJob } from "./backfills/periodic-job.ts";
import { decide, type Fitted, fitOverlap, type SkipReason } from "./decide.ts";
import * as store from "./store.ts";
import type { Recurrence } from "./timing/recurrence.ts";
import { instantsOf, intervalStartOf, sentenceOf } from "./timing/timing.ts";

/** The most rows that one round deletes. */
const FORGET_MAX = 5_000;

type Undecided = Awaited<ReturnType<typeof store.lockUndecided>>[number];

/** Problems that prevent a run and that a repeated request would not solve. */
const SKIPPED_FOR: Partial<Record<string, SkipReason>> = {
  "invalid-parameters": "invalid-parameters",
  "payload-too-large": "invalid-parameters",
  "deployment-not-found": "deployment-not-found",
};

function decided(row: Undecided, nowMs: number): { instants: Recurrence; fitted: Fitted } {
  const instants = instantsOf(row.settings);
  const cursorMs = row.cursorAt.getTime();
  const decision = decide({ recurrence: instants, policy: row.settings, cursorMs, nowMs, waits: row.waits });
  const { overlap } = row.settings;
  return { instants, fitted: fitOverlap(decision, { overlap, live: row.live, cursorMs }) };
}

/** Jitter that is the same for the same instant in every process. */
function jitterOf(row: Undecided, atMs: number): number {
  const { jitterMs } = row.settings;
  if (jitterMs === 0) return 0;
  let hash = 0;
  for (const char of `${row.id} ${atMs}`) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0;
  return (hash >>> 0) % (jitterMs + 1);
}

function instantRow(row: Undecided, args: { atMs: number; untilMs?: number; nowMs: number }) {
  return {
    workspaceId: row.workspaceId,
    scheduleId: row.id,
    at: dateOf(args.atMs),
    until: args.untilMs === undefined || args.untilMs === args.atMs ? null : dateOf(args.untilMs),
    decidedAt: dateOf(args.nowMs),
  };
}

/** A schedule and its decision. */
interface Decided {
  readonly row: Undecided;
  readonly instants: Recurrence;
  readonly fitted: Fitted;
}

/** An instant that gets a run. */
interface Wanted extends store.InstantRow {
  readonly row: Undecided;
  readonly runId: string;
  readonly intervalStartMs: number;
}

function askedOf({ row, runId, at, intervalStartMs }: Wanted, nowMs: number): OneRequest {
  const { parameters, priority, tags, expireAfterMs } = row.settings;
  const dueMs = at.getTime() + jitterOf(row, at.getTime());
  const trigger: Trigger = {
    kind: "schedule",
    schedule: row.name,
    dueAt: at.toISOString(),
    intervalStart: dateOf(intervalStartMs).toISOString(),
  };
  const scheduledAt = dueMs > nowMs ? dateOf(dueMs).toISOString() : undefined;
  return {
    request: {
      id: runId,
      deployment: row.deployment,
      parameters,
      priority,
      tags,
      expireAfterMs,
      scheduledAt,
    },
    trigger,
  };
}

function wantedOf(deps: Deps, { row, instants, fitted }: Decided, nowMs: number): Wanted[] {
  return fitted.runs.map((atMs) => ({
    ...instantRow(row, { atMs, nowMs }),
    row,
    skipped: null,
    runId: uuidv7(deps.clock.nowMs()),
    intervalStartMs: instants.previous(atMs) ?? intervalStartOf(row.settings, atMs),
  }));
}

async function skip(tx: Tx, deps: Deps, args: Wanted & { code: string }): Promise<void> {
  const { row, at } = args;
  const skipped = SKIPPED_FOR[args.code];
  if (skipped === undefined) throw new TypeError(`A schedule's run was refused: ${args.code}`);
  deps.log.warn({ schedule: row.id, at, reason: skipped }, "a schedule's run could not be created");
  await store.markSkipped(tx, { workspaceId: row.workspaceId, scheduleId: row.id, at, skipped });
}

/** Creates runs of one deployment. @returns The runs that are new, in the order of their instants. */
async function createOf(
  tx: Tx,
  deps: Deps,
  args: { wanted: readonly Wanted[]; nowMs: number },
): Promise<Wanted[]> {
  const [{ row } = { row: null }] = args.wanted;
  if (row === null) return [];
  const { workspaceId, deployment } = row;
  const asked = args.wanted.map((one) => askedOf(one, args.nowMs));
  const codes = await createManyIn(tx, deps, { workspaceId, deployment, asked }).then(
    (items) => items.map(({ problem }) => problem?.code ?? null),
    (error: unknown) => {
      if (error instanceof Problem && SKIPPED_FOR[error.code] !== undefined)
        return asked.map(() => error.code);
      throw error;
    },
  );
  const created: Wanted[] = [];
  for (const [index, one] of args.wanted.entries()) {
    const code = codes[index] ?? null;
    if (code === null) created.push(one);
    else await skip(tx, deps, { ...one, code });
  }
  return created;
}

/**
 * Creates the runs of decisions, each under the key of its instant. Another process may have used that key.
 * @returns The last run of each schedule that has a new one.
 */
async function createRuns(
  tx: Tx,
  deps: Deps,
  args: { decided: readonly Decided[]; nowMs: number },
): Promise<Map<string, string>> {
  const { nowMs } = args;
  const wanted = args.decided.flatMap((one) => wantedOf(deps, one, nowMs));
  const undecided = new Set(
    (await store.insertInstants(tx, wanted.map(instantOf))).map(({ runId }) => runId),
  );
  const mine = wanted.filter(({ runId }) => undecided.has(runId));
  const last = new Map<string, string>();
  const byDeployment = Map.groupBy(mine, ({ row }) => `${row.workspaceId} ${row.deployment}`);
  // All processes use the same order, so that two of them cannot wait for each other.
  for (const [, theirs] of [...byDeployment].sort(([one], [other]) => (one < other ? -1 : 1)))
    for (const { row, runId } of await createOf(tx, deps, { wanted: theirs, nowMs })) last.set(row.id, runId);
  return last;
}

function instantOf({ row: _row, intervalStartMs: _start, ...instant }: Wanted): store.InstantRow {
  return instant;
}

function skipsOf({ row, fitted }: Decided, nowMs: number): store.InstantRow[] {
  return fitted.skipped.map(({ fromMs, untilMs, reason }) => ({
    ...instantRow(row, { atMs: fromMs, untilMs, nowMs }),
    runId: null,
    skipped: reason,
  }));
}

/** Decides the instants of schedules up to now. Runs, skipped instants and the schedules' cursors commit together. */
export async function decideAll(
  tx: Tx,
  deps: Deps,
  args: { decided: readonly Decided[]; nowMs: number },
): Promise<void> {
  const { decided: all, nowMs } = args;
  await store.insertInstants(
    tx,
    all.flatMap((one) => skipsOf(one, nowMs)),
  );
  const last = await createRuns(tx, deps, args);
  for (const { row, fitted } of all) {
    const { live, lastRunId, workspaceId } = row;
    if (!live || !fitted.waits || row.settings.overlap !== "cancel-running" || lastRunId === null) continue;
    // If the run cannot be cancelled now, the next round tries again: see `lockUndecided`.
    await cancelWithin(tx, deps, {
      workspaceId,
      runId: lastRunId,
      reason: `schedule ${row.name} is due again`,
      cause: "collision",
    });
  }
  await store.moveSchedules(
    tx,
    all.map(({ row, instants, fitted }) => {
      const nextMs = instants.next(fitted.cursorMs);
      return {
        id: row.id,
        cursorAt: dateOf(fitted.cursorMs),
        waits: fitted.waits,
        nextAt: nextMs === null ? null : dateOf(nextMs),
        lastRunId: last.get(row.id) ?? row.lastRunId,
      };
    }),
  );
  await announce(tx, ...all.map(({ row }) => row));
}

/** Records the fault of a schedule whose rule can no longer be computed. Other schedules continue. */
async function setAside(tx: Tx, row: Undecided, cause: unknown): Promise<void> {
  const { workspaceId, id } = row;
  const set = { nextAt: null, waits: false, fault: sentenceOf(cause) };
  await store.updateSchedule(tx, { workspaceId, id, set });
  await announce(tx, row);
}

/** The decisions of schedules. Those whose rules cannot be computed are set aside. */
async function decidable(tx: Tx, rows: readonly Undecided[], nowMs: number): Promise<Decided[]> {
  const all: Decided[] = [];
  for (const row of rows) {
    try {
      const one = { row, ...decided(row, nowMs) };
      one.instants.next(one.fitted.cursorMs);
      all.push(one);
    } catch (fault) {
      await setAside(tx, row, fault);
    }
  }
  return all;
}

/**
 * Decides the instants of due schedules. Any number of processes may run it: each locks its schedules, and the key of
 * an instant prevents a second run.
 */
export const schedulesPeriodicJob = perRowJob<Undecided>({
  name: "schedules",
  everyMs: 1_000,
  hold: "locks",
  batch: store.DUE_BATCH,
  repeats: true,
  nextInMs: ({ clock }, among) => store.untilScheduleDue(clock, among),
  find: (from, { clock }, which) => store.lockUndecided(from, clock, which),
  async act(tx, deps, rows) {
    const nowMs = await store.readNowMs(tx, deps.clock);
    await decideAll(tx, deps, { decided: await decidable(tx, rows, nowMs), nowMs });
  },
});

/** Deletes decisions older than the retention of history, by whole months. Instants of runs that are kept stay. */
const forgetInstantsPeriodicJob: PeriodicJob = {
  name: "forget-instants",
  everyMs: 3_600_000,
  async runOnce({ database, clock, config }) {
    const before = await keptSince(database.db, clock, { retentionMs: config.historyRetentionMs });
    const count = await store.forgetInstants(database.db, { before, limit: FORGET_MAX });
    return { worked: count === FORGET_MAX };
  },
};

/** The periodic jobs of schedules. */
export const schedulesPeriodicJobs: readonly PeriodicJob[] = [
  schedulesPeriodicJob,
  backfillPeriodicJob,
  forgetInstantsPeriodicJob,
  forgetBackfillsPeriodicJob,
];
