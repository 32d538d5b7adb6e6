import {
  type Cause,
  isDue,
  type Ref,
  type RunError,
  TASK_RUN_TRANSITIONS,
  type TaskRunState,
} from "@towpath/contract";
import {
  type Deps,
  DUE,
  inParallel,
  type Tx,
  wakeAfterCommit,
  wentBackAt,
  writeChanges,
} from "../../kernel/index.ts";
import { beginAttempts, returnSlots } from "../admit/admission.ts";
import { cancelJobs, releaseDependents } from "../dependents/release.ts";
import { countAskedFor, countSuspendedOn } from "../dependents/store.ts";
import { type AttemptMove, moveAttempts, moveRuns, type RunMove } from "../moves/apply.ts";
import { lockRunPolicies, settleTaskRuns } from "../moves/locks.ts";
import { hasEnded } from "../moves/state.ts";
import { NO_NEEDS } from "../needs.ts";
import type { AttemptRow } from "../table.ts";
import { type FailedAttempt, noteFatal } from "../tasks/store.ts";
import { taskRunChange } from "../tasks/wire.ts";
import { type Decision, decideEnding, type Outcome } from "./endings.ts";

/** How an attempt ended. */
export interface Ended {
  readonly outcome: Outcome;
  readonly cause: Cause | null;
  readonly error?: RunError | undefined;
  readonly result?: Ref | undefined;
  readonly exitCode?: number | null;
  /** For a suspension: the paths of the waits that the flow has no answer to. */
  readonly waits?: readonly string[] | undefined;
  /** For a suspension: there are more waits than `waits` names. The attempt has asked for all of them. */
  readonly moreWaits?: boolean | undefined;
  /** Paths of the task calls that made the attempt fail. Missing: any failed call may have. */
  readonly failedBy?: readonly string[] | undefined;
  /** Whether the flow has a hook for a cancellation. @default false */
  readonly cancelHook?: boolean | undefined;
  /** How long ago the attempt ended, milliseconds, if its worker could not report it at once. @default 0 */
  readonly lateMs?: number;
  /** Null: no worker reported this end, so no later record of the attempt is applied. */
  readonly lastBulkSeq: number | null;
  /** The sequence of the control record that reports the end. @default none */
  readonly seq?: number;
}

/** An attempt that is about to end, locked by the caller, and how it ends. */
export interface HeldEnding {
  readonly held: AttemptRow;
  readonly ended: Ended;
}

type Decided = HeldEnding & {
  readonly decision: Decision;
  readonly limited: boolean;
  readonly hasDependents: boolean;
};

/**
 * Ends attempts of a workspace and decides the next state of their runs. Attempts, runs, open task runs, the next
 * attempts that are due at once, and all changes commit together, each kind in one statement. The caller holds the
 * attempts' locks (`held` are their rows).
 * @returns The attempts after the change, by id. An attempt is missing if its state does not allow this end: nothing of
 * it changed.
 */
export async function endAttempts(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; endings: readonly HeldEnding[] },
): Promise<Map<string, AttemptRow>> {
  const { workspaceId } = args;
  if (args.endings.length === 0) return new Map();
  const policies = await lockRunPolicies(tx, {
    workspaceId,
    runIds: args.endings.map(({ held }) => held.runId),
  });
  const policyOf = new Map(policies.map((one) => [one.runId, one]));
  const waitsOf = await suspendedOn(tx, args);
  const decided = args.endings.flatMap((ending): Decided[] => {
    const { held, ended } = ending;
    const policy = policyOf.get(held.runId);
    const decision =
      policy &&
      decideEnding({
        state: held.state,
        outcome: ended.outcome,
        cause: ended.cause,
        onlyHook: held.hookUntil !== null,
        ...policy,
        waits: waitsOf.get(held.runId),
      });
    return decision
      ? [
          {
            ...ending,
            decision,
            limited: policy?.limited ?? false,
            hasDependents: policy?.hasDependents ?? false,
          },
        ]
      : [];
  });
  if (decided.length === 0) return new Map();
  for (const { held } of decided) {
    returnSlots(tx, deps, held);
    // The worker polled after the process was gone, while the database still counted these amounts as taken.
    if (held.needs !== NO_NEEDS) wakeAfterCommit(tx, "pool", held.poolId);
  }
  // Sends the statements back to back: none needs another's result.
  const [rows] = await inParallel([
    moveAttempts(tx, deps.clock, { workspaceId, moves: decided.map(attemptEndOf) }),
    settleTasks(tx, deps, { workspaceId, decided }),
    noteFatal(tx, { workspaceId, failed: decided.flatMap(failureOf) }),
    endRuns(tx, deps, { workspaceId, decided }),
  ]);
  return new Map(rows.map((row) => [row.id, row]));
}

/**
 * The state of the waits that suspensions name. Read under the locks of the runs, since waits settle only under those.
 */
async function suspendedOn(
  tx: Tx,
  args: { workspaceId: string; endings: readonly HeldEnding[] },
): Promise<Map<string, { settled: number; open: number }>> {
  const { workspaceId } = args;
  const suspending = args.endings.filter(({ ended }) => ended.outcome === "suspended");
  const [cut, whole] = [
    suspending.filter(({ ended }) => ended.moreWaits),
    suspending.filter(({ ended }) => !ended.moreWaits),
  ];
  const named = whole.flatMap(({ held, ended }) =>
    (ended.waits ?? []).map((path) => ({ runId: held.runId, path })),
  );
  const asked = cut.map(({ held }) => ({ runId: held.runId, attemptId: held.id }));
  const counted = [
    ...(named.length === 0 ? [] : await countSuspendedOn(tx, { workspaceId, named })),
    ...(asked.length === 0 ? [] : await countAskedFor(tx, { workspaceId, asked })),
  ];
  const waits = new Map(counted.map((one) => [one.runId, one]));
  const lacking = suspending.filter(({ held, ended }) => {
    const { settled, open } = waits.get(held.runId) ?? { settled: 0, open: 0 };
    return settled + open < (ended.waits?.length ?? 0);
  });
  if (lacking.length > 0) await addForgotten(tx, { lacking, waits });
  return waits;
}

/**
 * Waits of an attempt from before the database went back may be forgotten. Then its run continues at once, as if a wait
 * were over: the flow asks for its waits again, under the same paths.
 */
async function addForgotten(
  tx: Tx,
  args: {
    lacking: readonly HeldEnding[];
    waits: Map<string, { runId: string; settled: number; open: number }>;
  },
): Promise<void> {
  const wentBack = await wentBackAt(tx);
  if (wentBack === null) return;
  for (const { held } of args.lacking) {
    if (held.createdAt >= wentBack) continue;
    const { settled, open } = args.waits.get(held.runId) ?? { settled: 0, open: 0 };
    args.waits.set(held.runId, { runId: held.runId, settled: settled + 1, open });
  }
}

/**
 * Ends one attempt, as `endAttempts`.
 * @returns The attempt after the change, or null if its state does not allow this end: nothing was changed.
 */
export async function endAttempt(
  tx: Tx,
  deps: Deps,
  held: AttemptRow,
  ended: Ended,
): Promise<AttemptRow | null> {
  const rows = await endAttempts(tx, deps, { workspaceId: held.workspaceId, endings: [{ held, ended }] });
  return rows.get(held.id) ?? null;
}

/** Ends an attempt that was cancelled before its start: its worker never launched anything. */
export function endUnstarted(tx: Tx, deps: Deps, held: AttemptRow): Promise<AttemptRow | null> {
  return endAttempt(tx, deps, held, { outcome: "cancelled", cause: null, lastBulkSeq: held.bulkAcked });
}

function attemptEndOf({ held, ended, decision }: Decided): AttemptMove {
  const { seq, lastBulkSeq, exitCode, lateMs } = ended;
  return {
    id: held.id,
    ...decision.attempt,
    exitCode: exitCode ?? null,
    lastBulkSeq,
    seq: seq ?? null,
    lateMs,
  };
}

/**
 * The calls that an attempt failed by, to store with them. A suspended attempt failed by none. Nor did a lost one,
 * since no worker reported so. A completed one needs no note: no attempt of its run follows.
 */
function failureOf({ held, ended: { outcome, failedBy }, decision }: Decided): FailedAttempt[] {
  const { by } = decision.attempt;
  if (held.startedAt === null || by === "complete") return [];
  const isFailure = outcome === "failed" || outcome === "cancelled";
  return [{ attemptId: held.id, failedBy: isFailure ? (failedBy ?? null) : [] }];
}

/** One statement for each way in which open tasks end. An attempt that never started has none. */
async function settleTasks(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; decided: readonly Decided[] },
): Promise<void> {
  const started = args.decided.filter(({ held }) => held.startedAt !== null);
  for (const [by, group] of Map.groupBy(started, ({ decision }) => decision.tasks)) {
    const move = TASK_RUN_TRANSITIONS[by];
    const from: readonly TaskRunState[] = move.from;
    const [to] = move.to;
    const settled = await settleTaskRuns(tx, deps.clock, {
      workspaceId: args.workspaceId,
      attempts: group.map(({ held, ended }) => ({ id: held.id, lateMs: ended.lateMs ?? 0 })),
      from,
      to,
    });
    await writeChanges(tx, settled.map(taskRunChange));
  }
}

function runEndOf({ held, ended, decision: { run, again } }: Decided): RunMove {
  const completes = run.by === "complete";
  return {
    id: held.runId,
    ...run,
    error: completes ? null : (ended.error ?? null),
    result: completes ? (ended.result ?? null) : null,
    dueInMs: again?.delayMs ?? null,
    spends: again?.spends ?? false,
    cancelHook: ended.cancelHook ?? false,
    lateMs: ended.lateMs,
    attemptFrom: held.startedAt?.toISOString(),
  };
}

/** Cancelled runs with an external job that must be cancelled first. They keep their state until then. */
async function keptByJobs(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; decided: readonly Decided[] },
): Promise<Set<string>> {
  const settling = args.decided.filter((one) => one.hasDependents && one.decision.run.by === "settle");
  const runIds = settling.map(({ held }) => held.runId);
  return cancelJobs(tx, deps, { workspaceId: args.workspaceId, runIds });
}

async function endRuns(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; decided: readonly Decided[] },
): Promise<void> {
  const { workspaceId } = args;
  const stay = await keptByJobs(tx, deps, args);
  const decided = args.decided.filter(({ held }) => !stay.has(held.runId));
  const moved = await moveRuns(tx, deps.clock, { workspaceId, moves: decided.map(runEndOf) });
  const goingOn = (goes: (decision: Decision) => boolean) =>
    decided
      .filter(({ decision }) => goes(decision))
      .map(({ held, limited }) => ({ id: held.runId, limited }));
  const atOnce = goingOn(({ again }) => again?.delayMs === 0);
  await beginAttempts(tx, deps, { workspaceId, by: "due", runs: atOnce });
  const resumed = goingOn(({ suspends }) => suspends?.resumes === true);
  await beginAttempts(tx, deps, { workspaceId, by: "resume", runs: resumed });
  const ended = moved.filter(hasEnded);
  await releaseDependents(tx, deps, ended);
  const putOff = decided.some(({ decision }) => (decision.again?.delayMs ?? 0) > 0);
  // A schedule or backfill may wait for this end.
  if (putOff || ended.some(({ trigger }) => isDue(trigger))) wakeAfterCommit(tx, "change", DUE);
}
