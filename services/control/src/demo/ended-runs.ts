import { createHash } from "node:crypto";
import {
  type Cause,
  type Json,
  LIMITS,
  lostAfterMs,
  type RunError,
  type TaskRunState,
  type Trigger,
  type Upstream,
} from "@towpath/contract";
import type { PinnedVersion } from "../deployments/index.ts";
import { type Deps, insertAll, inTransaction, type Tx, writeChanges } from "../kernel/index.ts";
import { runChange } from "../runs/index.ts";
import { attemptHistory, runHistory, runKey, taskRunHistory } from "../runs/table.ts";

/** A task call of an ended run. */
export interface EndedTask {
  readonly path: string;
  readonly name: string;
  readonly ord: number;
  readonly state: Extract<TaskRunState, "completed" | "failed" | "crashed" | "cancelled">;
  readonly tries: number;
  readonly error: RunError | null;
  readonly upstream: Upstream | null;
  readonly createdAt: Date;
  readonly startedAt: Date;
  readonly endedAt: Date;
}

/** An attempt of an ended run. */
export interface EndedAttempt {
  readonly id: string;
  readonly ordinal: number;
  readonly state: "completed" | "failed" | "crashed" | "cancelled" | "suspended";
  readonly cause: Cause | null;
  readonly workerId: string;
  readonly workerName: string;
  readonly exitCode: number | null;
  /** The line count of its log. @default 0 */
  readonly lines?: number;
  readonly createdAt: Date;
  readonly claimedAt: Date;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly tasks: readonly EndedTask[];
}

/** An ended run. */
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

const sha256 = (text: string): Uint8Array => createHash("sha256").update(text).digest();

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
    workedMs: workedMsOf(run),
    cancelRequestedAt: run.state === "cancelled" ? run.endedAt : null,
    cancelReason: run.cancelReason,
    error: run.error,
    result: null,
  };
}

/** The time of a run's attempts. Null if it had only one. */
function workedMsOf({ attempts }: EndedRun): number | null {
  if (attempts.length < 2) return null;
  return attempts.reduce((sum, { startedAt, endedAt }) => sum + endedAt.getTime() - startedAt.getTime(), 0);
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
    pathKey: sha256(task.path),
    workspaceId: run.workspaceId,
    runId: run.id,
    attempt: attempt.ordinal,
    kind: "task" as const,
    result: null,
    runEndedAt: run.endedAt,
  }));
}

/**
 * Writes ended runs into the history, with their attempts and task runs. Their ids must be new. Runs that ended after
 * `changesSince` get changes in the feed.
 */
export function insertEnded(
  deps: Deps,
  args: { workspaceId: string; runs: readonly EndedRun[]; changesSince: Date },
): Promise<void> {
  return inTransaction(deps, (tx) => write(tx, args));
}

async function write(
  tx: Tx,
  { workspaceId, runs, changesSince }: { workspaceId: string; runs: readonly EndedRun[]; changesSince: Date },
): Promise<void> {
  const pairs = runs.map((run) => ({ run, row: rowOfRun(workspaceId, run) }));
  // These runs are never created again, so any fingerprint works.
  const keys = runs.map(({ id, endedAt }) => ({ workspaceId, runId: id, fingerprint: sha256(id), endedAt }));
  const attempts = pairs.flatMap(({ run, row }) => run.attempts.map((one) => rowOfAttempt(row, one)));
  const tasks = pairs.flatMap(({ run, row }) => run.attempts.flatMap((one) => rowsOfTasks(row, one)));
  await insertAll(tx, runKey, keys);
  await insertAll(
    tx,
    runHistory,
    pairs.map(({ row }) => row),
  );
  await insertAll(tx, attemptHistory, attempts);
  await insertAll(tx, taskRunHistory, tasks);
  const recent = runs.filter((run) => run.endedAt >= changesSince);
  await writeChanges(
    tx,
    recent.map((run) =>
      runChange({
        ...run,
        workspaceId,
        name: null,
        attempts: run.attempts.length,
        workedMs: workedMsOf(run),
        workingSince: null,
      }),
    ),
  );
}
