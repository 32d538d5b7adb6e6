import {
  type Cause,
  type Json,
  LIMITS,
  lostAfterMs,
  type RunError,
  type TaskRunState,
  type Trigger,
} from "@towpath/contract";
import type { PinnedVersion } from "../../deployments/index.ts";
import { type Clock, type Deps, inTransaction, type Tx, writeChanges } from "../../kernel/index.ts";
import { fingerprintOf } from "../create/create.ts";
import { pathKey } from "../moves/fingerprint.ts";
import { historyPartitionsPeriodicJob } from "../periodic-jobs.ts";
import { analyzeHistory, insertEnded } from "../store/import.ts";
import type { attemptHistory, runHistory, taskRunHistory } from "../table.ts";
import { runChange } from "../wire.ts";

/** A task call of a run that has ended. */
export interface EndedTask {
  readonly path: string;
  readonly name: string;
  readonly ord: number;
  readonly state: Extract<TaskRunState, "completed" | "failed" | "crashed" | "cancelled">;
  readonly tries: number;
  readonly error: RunError | null;
  readonly createdAt: Date;
  readonly startedAt: Date;
  readonly endedAt: Date;
}

/** An attempt of a run that has ended. */
export interface EndedAttempt {
  readonly id: string;
  readonly ordinal: number;
  readonly state: "completed" | "failed" | "crashed" | "cancelled" | "suspended";
  readonly cause: Cause | null;
  readonly workerId: string;
  readonly workerName: string;
  readonly exitCode: number | null;
  /** Lines of its log. @default 0 */
  readonly lines?: number;
  readonly createdAt: Date;
  readonly claimedAt: Date;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly tasks: readonly EndedTask[];
}

/** A run that has ended, as it is told by somebody who saw all of it. */
export interface EndedRun {
  readonly id: string;
  readonly version: PinnedVersion;
  readonly trigger: Trigger;
  readonly tags: readonly string[];
  readonly priority: number;
  readonly parameters: { [key: string]: Json };
  readonly state: "completed" | "failed" | "crashed" | "cancelled";
  readonly cause: Cause | null;
  readonly error: RunError | null;
  readonly cancelReason: string | null;
  readonly createdAt: Date;
  readonly scheduledAt: Date;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly attempts: readonly EndedAttempt[];
}

type RunInsert = typeof runHistory.$inferInsert;

function rowOfRun(workspaceId: string, run: EndedRun): RunInsert {
  const { version } = run;
  const last = run.attempts.at(-1);
  return {
    workspaceId,
    id: run.id,
    name: null,
    deploymentId: version.deploymentId,
    versionId: version.versionId,
    poolId: version.poolId,
    deployment: version.name,
    version: version.version,
    pool: version.pool,
    queue: version.spec.queue,
    state: run.state,
    cause: run.cause,
    trigger: run.trigger,
    priority: run.priority,
    tags: [...run.tags],
    parameters: run.parameters,
    lostAfterMs: lostAfterMs(version.spec),
    attemptId: last?.id ?? null,
    attempts: run.attempts.length,
    retries: run.attempts.length - 1,
    createdAt: run.createdAt,
    scheduledAt: run.scheduledAt,
    dueAt: run.scheduledAt,
    expiresAt: null,
    startedAt: run.startedAt,
    endedAt: run.endedAt,
    parentId: null,
    onParentEnd: null,
    hasDependents: false,
    cancelRequestedAt: run.state === "cancelled" ? run.endedAt : null,
    cancelReason: run.cancelReason,
    error: run.error,
    result: null,
  };
}

function rowOfAttempt(
  run: RunInsert,
  { tasks, lines = 0, ...attempt }: EndedAttempt,
): typeof attemptHistory.$inferInsert {
  return {
    ...attempt,
    workspaceId: run.workspaceId,
    runId: run.id,
    poolId: run.poolId,
    priority: run.priority,
    scheduledAt: run.scheduledAt,
    epoch: 1,
    nonce: attempt.id.replaceAll("-", ""),
    leaseExpiresAt: null,
    lostAfterMs: run.lostAfterMs,
    limited: false,
    releases: 0,
    controlAcked: 2 + 3 * tasks.length,
    bulkAcked: Math.ceil(lines / LIMITS.logLines),
    lineBase: 0,
    nextLine: lines,
    runEndedAt: run.endedAt,
  };
}

function rowsOfTasks(run: RunInsert, attempt: EndedAttempt): (typeof taskRunHistory.$inferInsert)[] {
  return attempt.tasks.map((task) => ({
    ...task,
    attemptId: attempt.id,
    pathKey: pathKey(task.path),
    workspaceId: run.workspaceId,
    runId: run.id,
    attempt: attempt.ordinal,
    kind: "task" as const,
    result: null,
    runEndedAt: run.endedAt,
  }));
}

function fingerprintOfRun(run: EndedRun): Uint8Array {
  const { id, version, parameters, priority, tags } = run;
  return fingerprintOf({ id, deployment: version.name, parameters, priority, tags });
}

/**
 * Takes over runs that ended elsewhere, or before anybody kept their history, with their attempts and task runs. Ids must be
 * new. Readers of the feed hear of those that ended after `changesSince`: older ones are in the lists that they read.
 */
export function importEnded(
  deps: Deps,
  args: { workspaceId: string; runs: readonly EndedRun[]; changesSince: Date },
): Promise<void> {
  return inTransaction(deps, (tx) => write(tx, args));
}

async function write(
  tx: Tx,
  args: { workspaceId: string; runs: readonly EndedRun[]; changesSince: Date },
): Promise<void> {
  const { workspaceId } = args;
  const pairs = args.runs.map((run) => ({ run, row: rowOfRun(workspaceId, run) }));
  await insertEnded(tx, {
    runs: pairs.map(({ row }) => row),
    attempts: pairs.flatMap(({ run, row }) => run.attempts.map((one) => rowOfAttempt(row, one))),
    tasks: pairs.flatMap(({ run, row }) => run.attempts.flatMap((one) => rowsOfTasks(row, one))),
    keys: args.runs.map((run) => ({
      workspaceId,
      runId: run.id,
      fingerprint: fingerprintOfRun(run),
      endedAt: run.endedAt,
    })),
  });
  const recent = args.runs.filter((run) => run.endedAt >= args.changesSince);
  await writeChanges(
    tx,
    recent.map((run) => runChange({ ...run, workspaceId, name: null, attempts: run.attempts.length })),
  );
}

/** Makes the partitions of history for months that have passed: those that hold the clocks' times. */
export async function preparePast(deps: Deps, clocks: readonly Clock[]): Promise<void> {
  for (const clock of clocks) await historyPartitionsPeriodicJob.runOnce({ ...deps, clock });
}

/** Lets the planner know of what was taken over. */
export function settleImport(deps: Deps): Promise<void> {
  return inTransaction(deps, analyzeHistory);
}
