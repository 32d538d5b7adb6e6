import {
  type Cause,
  type Ref,
  type RunError,
  TASK_RUN_TRANSITIONS,
  type TaskRunState,
  uuidv7,
} from "@towpath/contract";
import { sql } from "drizzle-orm";
import { type Deps, now, type Tx, writeChanges } from "../kernel/index.ts";
import { decideEnding, type Fate, type Outcome } from "./endings.ts";
import { transitionAttempt, transitionRun } from "./state.ts";
import { insertAttempts } from "./store/create.ts";
import { after, lockRunPolicy, settleTaskRuns } from "./store/moves.ts";
import { type AttemptRow, attempt, type RunRow, run } from "./table.ts";
import { wakeAfterCommit } from "./wake.ts";
import { taskRunChange } from "./wire.ts";

/** How an attempt ended. */
export interface Ended {
  readonly outcome: Outcome;
  readonly cause: Cause | null;
  readonly error?: RunError | undefined;
  readonly result?: Ref | undefined;
  readonly exitCode?: number | null;
  /** Null: nobody reported this end, so nothing more of the attempt will be taken. */
  readonly lastBulkSeq: number | null;
}

/**
 * Ends an attempt and decides its run's fate: attempt, run, open task runs, the next attempt if it is due at once,
 * and the news of it all commit together. The caller holds the attempt's lock (`held` is its row).
 * @returns The attempt as it is now, or null if it cannot end so in its state: nothing was changed then.
 */
export async function endAttempt(
  tx: Tx,
  deps: Deps,
  held: AttemptRow,
  ended: Ended,
): Promise<AttemptRow | null> {
  const { workspaceId, runId } = held;
  const policy = await lockRunPolicy(tx, { workspaceId, runId });
  const fate =
    policy && decideEnding({ state: held.state, outcome: ended.outcome, cause: ended.cause, ...policy });
  if (!fate) return null;
  const row = await transitionAttempt(tx, {
    ...{ workspaceId, attemptId: held.id, by: fate.attempt.by },
    set: {
      cause: fate.attempt.cause,
      exitCode: ended.exitCode ?? null,
      lastBulkSeq: ended.lastBulkSeq,
      leaseExpiresAt: null,
      endedAt: sql`greatest(${now(deps.clock)}, ${attempt.startedAt})`,
    },
  });
  await settleTasks(tx, deps, held, fate);
  const moved = await moveRun(tx, deps, { held, ended, fate });
  if (fate.again?.delayMs === 0) await admit(tx, deps, moved);
  return row;
}

/** Ends an attempt that was cancelled before its start: its worker never launched anything. */
export function endUnstarted(tx: Tx, deps: Deps, held: AttemptRow): Promise<AttemptRow | null> {
  return endAttempt(tx, deps, held, { outcome: "cancelled", cause: null, lastBulkSeq: held.bulkAcked });
}

async function settleTasks(tx: Tx, deps: Deps, held: AttemptRow, fate: Fate): Promise<void> {
  const move = TASK_RUN_TRANSITIONS[fate.tasks];
  const from: readonly TaskRunState[] = move.from;
  const [to] = move.to;
  const settled = await settleTaskRuns(tx, deps.clock, {
    ...{ workspaceId: held.workspaceId, attemptId: held.id },
    ...{ from, to },
  });
  await writeChanges(tx, settled.map(taskRunChange));
}

function moveRun(tx: Tx, deps: Deps, a: { held: AttemptRow; ended: Ended; fate: Fate }): Promise<RunRow> {
  const { fate, ended } = a;
  const name = { workspaceId: a.held.workspaceId, runId: a.held.runId, by: fate.run.by, to: fate.run.to };
  if (fate.again !== null) {
    return transitionRun(tx, {
      ...name,
      set: {
        dueAt: after(deps.clock, fate.again.delayMs),
        error: ended.error ?? null,
        ...(fate.again.spends ? { retries: sql`${run.retries} + 1` } : {}),
      },
    });
  }
  return transitionRun(tx, {
    ...name,
    set: {
      cause: fate.run.cause,
      error: fate.run.by === "complete" ? null : (ended.error ?? null),
      result: fate.run.by === "complete" ? (ended.result ?? null) : null,
      endedAt: now(deps.clock),
    },
  });
}

/** Gives a scheduled run that is due its next attempt. The caller holds the run's lock. */
async function admit(tx: Tx, deps: Deps, due: RunRow): Promise<void> {
  const ready = await transitionRun(tx, {
    ...{ workspaceId: due.workspaceId, runId: due.id, by: "due", to: "ready" },
    set: { attemptId: uuidv7(deps.clock.nowMs()), attempts: sql`${run.attempts} + 1` },
  });
  await insertAttempts(tx, deps.clock, [ready]);
  wakeAfterCommit(tx, "pool", ready.poolId);
}
