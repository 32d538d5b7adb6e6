import {
  type Cause,
  isDue,
  type Ref,
  type RunError,
  TASK_RUN_TRANSITIONS,
  type TaskRunState,
  uuidv7,
} from "@towpath/contract";
import { sql } from "#sql";
import {
  afterCommit,
  type Deps,
  DUE,
  sideBySide,
  type Tx,
  wakeAfterCommit,
  wakeSequencer,
  wentBackAt,
  writeChanges,
} from "../../kernel/index.ts";
import { enterLine, returnSlots } from "../admit/admission.ts";
import { NO_NEEDS } from "../compute/needs.ts";
import { cancelJobs } from "../dependents/close-jobs.ts";
import { releaseDependents } from "../dependents/release.ts";
import { insertAttempts } from "../moves/create.ts";
import { type AttemptEnd, type RunEnd, saveAttemptEnds, saveRunEnds } from "../moves/endings.ts";
import { lockRunPolicies, settleTaskRuns } from "../moves/locks.ts";
import { attemptMove, notAllowed, runMove, transitionRun } from "../moves/state.ts";
import { type AttemptRow, type RunRow, run } from "../table.ts";
import { type FailedAttempt, noteFatal } from "../tasks/store.ts";
import { resumeRuns } from "../waits/resume.ts";
import { countAskedFor, countSuspendedOn } from "../waits/store.ts";
import { hasEnded, taskRunChange } from "../wire.ts";
import { type Decision, decideEnding, type Outcome } from "./endings.ts";

/** How an attempt ended. */
export interface Ended {
  readonly outcome: Outcome;
  readonly cause: Cause | null;
  readonly error?: RunError | undefined;
  readonly result?: Ref | undefined;
  readonly exitCode?: number | null;
  /** Of a suspension: the paths of the waits that the flow has no answer to. */
  readonly waits?: readonly string[] | undefined;
  /** Of a suspension: there are more than `waits` names, all of which the attempt has asked for. */
  readonly moreWaits?: boolean | undefined;
  /** Paths of the task calls that the attempt failed by. Missing: it may be any that failed. */
  readonly failedBy?: readonly string[] | undefined;
  /** Null: nobody reported this end, so nothing more of the attempt will be taken. */
  readonly lastBulkSeq: number | null;
  /** The sequence of the control record that says so. @default none */
  readonly seq?: number;
}

/** An attempt that is to end, locked by the caller, and how. */
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
 * Ends attempts of a workspace and decides what becomes of their runs: attempts, runs, open task runs, the next attempts that are
 * due at once, and the changes of it all commit together, each kind in one statement however many there are. The caller
 * holds the attempts' locks (`held` are their rows).
 * @returns The attempts as they are now, by id. One is missing if it cannot end so in its state: nothing of it changed.
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
    // Its worker polled when the process was gone, while these amounts were still taken here.
    if (held.needs !== NO_NEEDS) wakeAfterCommit(tx, "pool", held.poolId);
  }
  // Sent one behind the other: none of them needs what another answers, and a round trip costs more than its work.
  const [rows] = await sideBySide([
    saveAttemptEnds(tx, deps.clock, { workspaceId, ends: decided.map(attemptEndOf) }),
    settleTasks(tx, deps, { workspaceId, decided }),
    noteFatal(tx, { workspaceId, failed: decided.flatMap(failureOf) }),
    moveRuns(tx, deps, { workspaceId, decided }),
  ]);
  const missing = decided.find(({ held }) => !rows.some((row) => row.id === held.id));
  if (missing !== undefined) throw notAllowed("attempt", missing.held.id, missing.decision.attempt.by);
  return new Map(rows.map((row) => [row.id, row]));
}

/** How the waits stand that suspensions name. Asked under the locks of the runs, under which alone waits settle. */
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
 * What an attempt from before the database went back waits for may have been forgotten. Then its run goes on at once, as if that were over: the
 * flow asks for its waits again, under the same paths.
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
 * @returns The attempt as it is now, or null if it cannot end so in its state: nothing was changed then.
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

function attemptEndOf({ held, ended, decision }: Decided): AttemptEnd {
  return {
    id: held.id,
    ...attemptMove(held.id, decision.attempt.by),
    cause: decision.attempt.cause,
    exitCode: ended.exitCode ?? null,
    lastBulkSeq: ended.lastBulkSeq,
    seq: ended.seq ?? null,
  };
}

/**
 * What is noted of an attempt's failed calls. A suspended attempt has failed by none of them. Nor has a lost one: nobody has
 * said that it did. Of a completed one nothing is noted: its state says enough, and no attempt of its run follows.
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
    const attemptIds = group.map(({ held }) => held.id);
    const settled = await settleTaskRuns(tx, deps.clock, {
      workspaceId: args.workspaceId,
      attemptIds,
      from,
      to,
    });
    await writeChanges(tx, settled.map(taskRunChange));
  }
}

function runEndOf({ held, ended, decision }: Decided): RunEnd {
  const completes = decision.run.by === "complete";
  return {
    id: held.runId,
    ...runMove(held.runId, decision.run.by, decision.run.to),
    cause: decision.run.cause,
    error: completes ? null : (ended.error ?? null),
    result: completes ? (ended.result ?? null) : null,
    ends: decision.again === null && decision.suspends === undefined,
    againMs: decision.again?.delayMs ?? null,
    spends: decision.again?.spends ?? false,
  };
}

/** Cancelled runs that have an external job which is to be cancelled first: they stay as they are until it is. */
async function keptByJobs(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; decided: readonly Decided[] },
): Promise<Set<string>> {
  const settling = args.decided.filter((one) => one.hasDependents && one.decision.run.by === "settle");
  const runIds = settling.map(({ held }) => held.runId);
  return cancelJobs(tx, deps, { workspaceId: args.workspaceId, runIds });
}

async function moveRuns(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; decided: readonly Decided[] },
): Promise<void> {
  const stay = await keptByJobs(tx, deps, args);
  const ends = args.decided.filter(({ held }) => !stay.has(held.runId)).map(runEndOf);
  const moved = await saveRunEnds(tx, deps.clock, { workspaceId: args.workspaceId, ends });
  const missing = args.decided.find(
    ({ held }) => !stay.has(held.runId) && !moved.some((row) => row.id === held.runId),
  );
  if (missing !== undefined) throw notAllowed("run", missing.held.runId, missing.decision.run.by);
  afterCommit(tx, "changes of runs", wakeSequencer);
  const atOnce = new Set(ends.filter((end) => end.againMs === 0).map((end) => end.id));
  const limited = new Set(args.decided.filter((one) => one.limited).map(({ held }) => held.runId));
  for (const row of moved) {
    if (!atOnce.has(row.id)) continue;
    if (limited.has(row.id)) enterLine(tx, deps, row);
    else await admit(tx, deps, row);
  }
  const resumed = new Set(
    args.decided.filter((one) => one.decision.suspends?.resumes).map(({ held }) => held.runId),
  );
  const goingOn = moved.filter((row) => resumed.has(row.id));
  await resumeRuns(
    tx,
    deps,
    goingOn.map((row) => ({ ...row, limited: limited.has(row.id) })),
  );
  await releaseDependents(tx, deps, moved.filter(hasEnded));
  const putOff = ends.some((end) => (end.againMs ?? 0) > 0);
  // A schedule or backfill may wait for just this end.
  if (putOff || moved.some((row) => hasEnded(row) && isDue(row.trigger))) wakeAfterCommit(tx, "change", DUE);
}

/** Gives a scheduled run that is due its next attempt. The caller holds the run's lock. */
async function admit(tx: Tx, deps: Deps, due: RunRow): Promise<void> {
  const ready = await transitionRun(tx, {
    workspaceId: due.workspaceId,
    runId: due.id,
    by: "due",
    to: "ready",
    set: { attemptId: uuidv7(deps.clock.nowMs()), attempts: sql`${run.attempts} + 1` },
  });
  await insertAttempts(tx, deps.clock, [ready]);
  wakeAfterCommit(tx, "pool", ready.poolId);
}
