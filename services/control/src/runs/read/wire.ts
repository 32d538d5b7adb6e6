import {
  type Attempt,
  type LateReport,
  lateAfterMs,
  RUN_TRANSITIONS,
  type Run,
  type RunState,
  type RunSummary,
} from "@towpath/contract";
import type { NewChange } from "../../kernel/index.ts";
import type { WorkerSlot } from "../moves/claim.ts";
import { readNeeds } from "../needs.ts";
import type { AttemptRow, LateReportRow, RunRow, RunSummaryRow } from "../table.ts";
import { takenBy } from "../why/why.ts";

/** The fields of a run that change after its creation, as the feed sends them. The rest of a summary never changes. */
export type ChangedFields = Pick<
  RunSummary,
  "name" | "state" | "cause" | "attempts" | "startedAt" | "endedAt" | "workedMs" | "workingSince"
>;

/** States in which a run waits for slots, or is suspended. It does not wait for a worker. */
const HELD_STATES: readonly RunState[] = [...RUN_TRANSITIONS.admit.from, ...RUN_TRANSITIONS.resume.from];

/** States in which a run waits for a worker, derived from the moves that need no worker. */
const WAITING_STATES: readonly RunState[] = RUN_TRANSITIONS.expire.from.filter(
  (state) => !HELD_STATES.includes(state),
);

const iso = (instant: Date | null) => instant?.toISOString() ?? null;

type ChangedRow = Pick<RunSummaryRow, keyof ChangedFields | "workspaceId" | "id">;

function changesOf(row: ChangedRow): ChangedFields {
  return {
    name: row.name,
    state: row.state,
    cause: row.cause,
    attempts: row.attempts,
    startedAt: iso(row.startedAt),
    endedAt: iso(row.endedAt),
    workedMs: row.workedMs,
    workingSince: iso(row.workingSince),
  };
}

/** The change of a run, from its current row. */
export function runChange(row: ChangedRow): NewChange {
  return {
    workspaceId: row.workspaceId,
    kind: "run",
    runId: row.id,
    entityId: row.id,
    data: { ...changesOf(row) },
  };
}

/** The input of labels: the instant of the answer, and the end of the current attempt's lease. */
export interface LabelFacts {
  readonly now: Date;
  readonly leaseExpiresAt: Date | null;
}

function labelsOf(row: RunSummaryRow, facts: LabelFacts): RunSummary["labels"] {
  const nowMs = facts.now.getTime();
  // A run with an earlier attempt keeps its position, so its due time does not show how long it waits this time.
  const late =
    row.startedAt === null && WAITING_STATES.includes(row.state) && row.dueAt.getTime() + lateAfterMs < nowMs;
  const disconnected =
    row.startedAt !== null && facts.leaseExpiresAt !== null && facts.leaseExpiresAt < facts.now;
  return [...(late ? (["late"] as const) : []), ...(disconnected ? (["disconnected"] as const) : [])];
}

/** A run as lists show it. */
export function runSummaryOf(row: RunSummaryRow, facts: LabelFacts): RunSummary {
  return {
    id: row.id,
    deployment: row.deployment,
    version: row.version,
    pool: row.pool,
    queue: row.queue,
    trigger: row.trigger,
    priority: row.priority,
    tags: row.tags,
    createdAt: row.createdAt.toISOString(),
    scheduledAt: row.scheduledAt.toISOString(),
    ...changesOf(row),
    labels: labelsOf(row, facts),
  };
}

/** When the time limit of the whole run ends it. */
function endsBy({ startedAt, endedAt, runTimeoutMs }: RunRow): string | null {
  if (startedAt === null || endedAt !== null || runTimeoutMs === null) return null;
  return new Date(startedAt.getTime() + runTimeoutMs).toISOString();
}

/** A run with its attempts, without its troubles. */
export function runOf(args: {
  row: RunRow;
  attempts: readonly AttemptRow[];
  late: readonly LateReportRow[];
  why: string | null;
  facts: LabelFacts;
}): Run {
  const { row } = args;
  return {
    ...runSummaryOf(row, args.facts),
    parameters: row.parameters,
    error: row.error,
    result: row.result,
    cancelRequestedAt: iso(row.cancelRequestedAt),
    cancelReason: row.cancelReason,
    endsBy: endsBy(row),
    checkpointsDeletedAt: iso(row.checkpointsDeletedAt),
    needs: readNeeds(row.needs),
    why: args.why,
    attemptList: args.attempts.map((attempt) =>
      attemptOf(
        attempt,
        args.late.filter((one) => one.attemptId === attempt.id),
      ),
    ),
    troubles: [],
  };
}

/**
 * A new run with its first attempt, which a worker has or waits for. Everything is known, so nothing is read. Later
 * changes by the worker are not included.
 * @param by The slot that claimed it at its creation. Null: a worker waits for it.
 */
export function awaitedRunOf(row: RunRow & { attemptId: string }, by: WorkerSlot | null): Run {
  const why = by === null ? `A worker of pool "${row.pool}" waits for it.` : takenBy(by.workerName);
  const facts: LabelFacts = { now: row.createdAt, leaseExpiresAt: null };
  const at = row.createdAt.toISOString();
  const claim =
    by === null
      ? ({ state: "ready", epoch: 0, worker: null, claimedAt: null } as const)
      : ({
          state: "claimed",
          epoch: 1,
          worker: { id: by.workerId, name: by.workerName },
          claimedAt: at,
        } as const);
  const first: Attempt = {
    id: row.attemptId,
    ordinal: row.attempts,
    cause: null,
    ...claim,
    releases: 0,
    releaseReason: null,
    exitCode: null,
    lateReports: [],
    createdAt: at,
    startedAt: null,
    endedAt: null,
    reportedAt: null,
  };
  return { ...runOf({ row, attempts: [], late: [], why, facts }), attemptList: [first] };
}

function lateReportOf(row: LateReportRow): LateReport {
  const { workerId, epoch, reports, records, kinds } = row;
  return {
    workerId,
    epoch,
    reports,
    records,
    kinds,
    firstReceivedAt: row.firstReceivedAt.toISOString(),
    lastReceivedAt: row.lastReceivedAt.toISOString(),
  };
}

function attemptOf(row: AttemptRow, late: readonly LateReportRow[]): Attempt {
  const worker =
    row.workerId === null || row.workerName === null ? null : { id: row.workerId, name: row.workerName };
  return {
    id: row.id,
    ordinal: row.ordinal,
    state: row.state,
    cause: row.cause,
    epoch: row.epoch,
    worker,
    releases: row.releases,
    releaseReason: row.releaseReason,
    exitCode: row.exitCode,
    lateReports: late.map(lateReportOf),
    createdAt: row.createdAt.toISOString(),
    claimedAt: iso(row.claimedAt),
    startedAt: iso(row.startedAt),
    endedAt: iso(row.endedAt),
    reportedAt: iso(row.reportedAt),
  };
}
