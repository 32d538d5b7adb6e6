import type { Cause, Spec, TaskRunState } from "@towpath/contract";
import { sql } from "#sql";
import {
  after,
  type Clock,
  columns,
  now,
  numberArray,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
} from "../../kernel/index.ts";
import { type AttemptRow, attempt, type RunRow, run, type TaskRunRow, taskRun } from "../table.ts";
import { runIsLimited } from "./run-columns.ts";

/**
 * Locks attempts of a workspace until the end of the transaction, in the order of their ids. A caller that needs both locks
 * the attempt before its run.
 */
export async function lockAttempts(
  tx: Tx,
  args: { workspaceId: string; attemptIds: readonly string[] },
): Promise<AttemptRow[]> {
  const raws = await rows<RawRow>(
    tx,
    sql`select ${columns(attempt, "a")} from attempt a
      where a.workspace_id = ${args.workspaceId} and a.id = any(${textArray(args.attemptIds)}::uuid[])
      order by a.id for update`,
  );
  return raws.map((raw) => rowOf(attempt, raw));
}

/** Locks the attempt of a run that has not ended, if there is one. Index attempt_one_active. */
export async function lockActiveAttempt(
  tx: Tx,
  args: { workspaceId: string; runId: string },
): Promise<AttemptRow | null> {
  const [raw] = await rows<RawRow>(
    tx,
    sql`select ${columns(attempt, "a")} from attempt a
      where a.workspace_id = ${args.workspaceId} and a.run_id = ${args.runId} and a.ended_at is null for update`,
  );
  return raw === undefined ? null : rowOf(attempt, raw);
}

/** The attempt of a run that has not ended, without a lock. Index attempt_one_active. */
export async function findActiveAttemptId(
  tx: Tx,
  args: { workspaceId: string; runId: string },
): Promise<string | null> {
  const [found] = await rows<{ id: string }>(
    tx,
    sql`select id from attempt
      where workspace_id = ${args.workspaceId} and run_id = ${args.runId} and ended_at is null`,
  );
  return found?.id ?? null;
}

/** Locks a live run. */
export async function lockRun(tx: Tx, args: { workspaceId: string; runId: string }): Promise<RunRow | null> {
  const [raw] = await rows<RawRow>(
    tx,
    sql`select ${columns(run, "r")} from run r
      where r.workspace_id = ${args.workspaceId} and r.id = ${args.runId} for update`,
  );
  return raw === undefined ? null : rowOf(run, raw);
}

/** The input for the ending of a run's attempt. */
export interface RunPolicy {
  readonly runId: string;
  readonly retry: Spec["retry"];
  readonly spent: number;
  /** Of a run that is being cancelled: the cause of the cancellation. Null: a person's request. */
  readonly cancelCause: Cause | null;
  /** Whether its next attempt needs slots. */
  readonly limited: boolean;
  /** Whether its end has dependents, or it waits for something. */
  readonly hasDependents: boolean;
}

/** A query of policies of live runs. Primary keys of run and deployment_version. */
const policiesOf = (args: { workspaceId: string; runIds: readonly string[] }) =>
  sql`select r.id as "runId", case when r.task is null then v.spec -> 'retry'
        else v.spec -> 'retry' || jsonb_build_object('limit', (r.trigger -> 'task' ->> 'retries')::integer,
          'causes', '["oom", "killed", "lost"]'::jsonb) end as retry, r.retries as spent, r.cancel_cause as "cancelCause", ${runIsLimited} as limited, r.tied as "hasDependents"
    from run r join deployment_version v on v.id = r.version_id
    where r.workspace_id = ${args.workspaceId} and r.id = any(${textArray(args.runIds)}::uuid[])
    order by r.id`;

/**
 * Locks live runs in the order of their ids, and reads the retry policy of the pinned versions. A run that is one task
 * of another has that task's retries, but only for lost processes: its own process has already retried errors.
 */
export async function lockRunPolicies(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<RunPolicy[]> {
  return rows<RunPolicy>(tx, sql`${policiesOf(args)} for update of r`);
}

/** Reads the policies of live runs, as `lockRunPolicies`, without locks. */
export async function readRunPolicies(
  from: Queryable,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<RunPolicy[]> {
  return args.runIds.length === 0 ? [] : rows<RunPolicy>(from, policiesOf(args));
}

/** Ends the open task runs of attempts, each as long ago as its attempt ended. Index task_run_open. */
export async function settleTaskRuns(
  tx: Tx,
  clock: Clock,
  args: {
    attempts: readonly { readonly id: string; readonly lateMs: number }[];
    workspaceId: string;
    from: readonly TaskRunState[];
    to: TaskRunState;
  },
): Promise<TaskRunRow[]> {
  const ids = textArray(args.attempts.map(({ id }) => id));
  const raws = await rows<RawRow>(
    tx,
    sql`update task_run t set state = ${args.to},
        ended_at = greatest(${now(clock)} - make_interval(secs => e.late_ms / 1000), least(t.started_at, ${now(clock)}))
      from unnest(${ids}::uuid[], ${numberArray(args.attempts.map(({ lateMs }) => lateMs))}::float8[]) as e (id, late_ms)
      where t.attempt_id = any(${ids}::uuid[]) and t.attempt_id = e.id and t.workspace_id = ${args.workspaceId}
        and t.ended_at is null and t.state = any(${textArray(args.from)}::text[])
      returning ${columns(taskRun, "t")}`,
  );
  return raws.map((raw) => rowOf(taskRun, raw));
}

/** The progress of an attempt's reports, beside its state. */
export interface Progress {
  readonly attemptId: string;
  readonly controlAcked: number;
  readonly bulkAcked: number;
  readonly nextLine: number;
  readonly cancelStage: string | null;
}

/**
 * Stores how far the reports of attempts have come, and renews the leases of those that are still held. The rows are
 * locked by `lockAttempts`, or archived.
 */
export async function saveProgress(
  tx: Tx,
  clock: Clock,
  args: {
    workspaceId: string;
    leaseMs: number;
    claimLeaseMs: number;
    table: "attempt" | "attempt_history";
    progress: readonly Progress[];
  },
): Promise<void> {
  if (args.progress.length === 0) return;
  const of = (key: "controlAcked" | "bulkAcked" | "nextLine") =>
    numberArray(args.progress.map((one) => one[key]));
  await rows(
    tx,
    sql`update ${sql.identifier(args.table)} t set control_acked = p.control_acked, bulk_acked = p.bulk_acked,
        next_line = p.next_line, cancel_stage = p.cancel_stage,
        lease_expires_at = case when t.lease_expires_at is null then null
          when t.state = 'claimed' then greatest(t.lease_expires_at, ${after(clock, args.claimLeaseMs)})
          else greatest(t.lease_expires_at, ${after(clock, args.leaseMs)}) end
      from unnest(${textArray(args.progress.map((one) => one.attemptId))}::uuid[], ${of("controlAcked")}::bigint[],
        ${of("bulkAcked")}::bigint[], ${of("nextLine")}::bigint[],
        ${textArray(args.progress.map((one) => one.cancelStage))}::text[])
        as p (id, control_acked, bulk_acked, next_line, cancel_stage)
      where t.id = p.id and t.workspace_id = ${args.workspaceId}`,
  );
}
