import { computeOf, type Trigger } from "@towpath/contract";
import { sql } from "#sql";
import type { PinnedVersion } from "../../deployments/index.ts";
import {
  type Clock,
  columns,
  failpoint,
  now,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
  UNHURRIED,
} from "../../kernel/index.ts";
import { isLimited, isTagLimited } from "../../limits/index.ts";
import { needsText } from "../needs.ts";
import { type RunRow, run } from "../table.ts";
import { insertRunChanges } from "./changes.ts";
import type { AssignedAttempt, WorkerSlot } from "./claim.ts";
import { effectivePriority, NO_DEPLOYMENT } from "./run-columns.ts";

/** The fingerprint that is stored under a taken run id, or null. */
export async function findRunKey(
  from: Queryable,
  args: { workspaceId: string; runId: string },
): Promise<{ fingerprint: Uint8Array } | null> {
  const [found] = await rows<{ fingerprint: Uint8Array }>(
    from,
    sql`select fingerprint from run_key where workspace_id = ${args.workspaceId} and run_id = ${args.runId}`,
  );
  return found ?? null;
}

/**
 * Takes an idempotency key for a run. Waits for a racing transaction that took it first.
 * @returns The run that holds the key: `runId` if it was free.
 */
export async function takeIdempotencyKey(
  tx: Tx,
  args: { workspaceId: string; key: string; runId: string },
): Promise<string> {
  const taken = await rows(
    tx,
    sql`insert into idempotency_key (workspace_id, key, run_id)
      values (${args.workspaceId}, ${args.key}, ${args.runId}) on conflict do nothing returning run_id`,
  );
  if (taken.length > 0) return args.runId;
  const [holder] = await rows<{ runId: string }>(
    tx,
    sql`select run_id as "runId" from idempotency_key where workspace_id = ${args.workspaceId} and key = ${args.key}`,
  );
  return holder?.runId ?? args.runId;
}

/** A run that is about to exist. */
export interface NewRun {
  readonly fingerprint: Uint8Array;
  readonly workspaceId: string;
  readonly id: string;
  readonly deployment: string;
  readonly version: PinnedVersion;
  /** For a run that is one task of another: the task's name. Its deployment's limits do not apply to it. */
  readonly task: string | null;
  /** Its queue within the version's pool. Null: none. */
  readonly queue: string | null;
  /** Whether to create the run only if this version is still the deployment's latest, and no limit applies to it. */
  readonly onlyIfPlain: boolean;
  readonly trigger: Trigger;
  readonly priority: number;
  readonly tags: readonly string[];
  readonly parameters: unknown;
  readonly lostAfterMs: number;
  /** How long after its due time it may stay without a start. Null: without a limit. */
  readonly expireAfterMs: number | null;
  /** How long it may take in total, from its first start. Null: without a limit. */
  readonly runTimeoutMs: number | null;
  /** The id of its first attempt, used if it is due at once. */
  readonly attemptId: string;
  readonly scheduledAt: string | null;
  /** The slot that gets it at once, if nothing precedes it: see `insertRun`. Null: it waits in its queue. */
  readonly slot: WorkerSlot | null;
  readonly claimLeaseMs: number;
}

/** A run that was made. */
export interface MadeRun {
  readonly row: RunRow;
  /** Whether it must enter the wait list of a limit. */
  readonly waits: boolean;
  /** Its assignment to the slot. Null: the slot did not get it. */
  readonly given: AssignedAttempt | null;
}

/**
 * Inserts a run, its key, its first attempt if it is due by the database's clock, and the changes, in one statement:
 * one round trip and one commit. Waits for a racing transaction that took the run's id first. A run that needs slots
 * gets no attempt: it is scheduled, and `waits` says that it must enter its wait list.
 *
 * With a slot, the attempt is created as claimed, as `claimAttempts` would claim it, on three conditions: it needs
 * nothing but a slot, no ready attempt of its pool precedes it, and the worker has neither restarted nor polled at
 * another process. Indexes attempt_ready, primary key of worker. Then the commit does not wait for the disk: the worker
 * gets the assignment at once, and a confirmed start brings all of this to disk. The creator gets its answer after
 * `reachDisk`.
 * @returns null if the id is taken, or `onlyIfPlain` is set and the run is not plain: nothing was inserted.
 */
export async function insertRun(to: Queryable, clock: Clock, args: NewRun): Promise<MadeRun | null> {
  const { version, slot } = args;
  const isTask = args.task !== null;
  const needs = needsText(computeOf(version.spec, args.trigger));
  const limited = isLimited({
    workspaceId: sql`${args.workspaceId}::uuid`,
    deploymentId: sql`${isTask ? NO_DEPLOYMENT : version.deploymentId}::uuid`,
    deployment: sql`${isTask ? "" : args.deployment}::text`,
    pool: sql`${version.pool}::text`,
    queue: sql`${args.queue}::text`,
  });
  const tagged = isTagLimited({
    workspaceId: sql`${args.workspaceId}::uuid`,
    tags: sql`${textArray(args.tags)}::text[]`,
  });
  const [raw] = await rows<RawMade>(
    to,
    sql`with l as materialized (
        select ${limited} or ${tagged} as limited, case when ${slot !== null}::boolean then ${UNHURRIED} end as unhurried
      ), key as (
        insert into run_key (workspace_id, run_id, fingerprint)
        select ${args.workspaceId}::uuid, ${args.id}::uuid, ${args.fingerprint}::bytea
        where not ${args.onlyIfPlain}::boolean or not (select limited from l) and exists (select 1 from deployment d
          where d.workspace_id = ${args.workspaceId} and d.id = ${version.deploymentId}::uuid
            and d.latest_version = ${version.version}::integer and d.removed_version is distinct from d.latest_version)
        on conflict do nothing returning run_id
      ), n as (
        select now, coalesce(${args.scheduledAt}::timestamptz, now) as due
        from (select date_trunc('milliseconds', ${now(clock)}) as now from key) k
      ), slot as (
        select w.id from worker w
        where w.workspace_id = ${args.workspaceId} and w.id = ${slot?.workerId ?? null}::uuid
          and w.generation = ${slot?.poll.generation ?? null}::bigint and w.poll_seq <= ${slot?.poll.seq ?? null}::bigint
          and ${needs}::text = '' and not exists (select 1 from attempt o
            where o.workspace_id = ${args.workspaceId} and o.pool_id = ${version.poolId}::uuid and o.state = 'ready')
      ), t as (
        select now, due, due <= now and not limited as goes, due <= now and limited as waits,
          due <= now and not limited and exists (select 1 from slot) as given from n, l
      ), made as (
        insert into run (workspace_id, id, deployment_id, version_id, pool_id, deployment, version, pool, queue,
          state, trigger, priority, tags, parameters, lost_after_ms, attempt_id, attempts, created_at, scheduled_at, due_at,
          expires_at, needs, task, run_timeout_ms)
        select ${args.workspaceId}::uuid, ${args.id}::uuid, ${version.deploymentId}::uuid, ${version.versionId}::uuid,
          ${version.poolId}::uuid, ${args.deployment}, ${version.version}::integer, ${version.pool},
          ${args.queue}, case when given then 'claimed' when goes then 'ready' else 'scheduled' end,
          ${JSON.stringify(args.trigger)}::json, ${args.priority}::integer, ${textArray(args.tags)}::text[],
          ${JSON.stringify(args.parameters)}::json, ${args.lostAfterMs}::bigint,
          case when goes then ${args.attemptId}::uuid end, case when goes then 1 else 0 end, now, due, due,
          due + make_interval(secs => ${args.expireAfterMs === null ? null : args.expireAfterMs / 1000}::float8), ${needs},
          ${args.task}::text, ${args.runTimeoutMs}::bigint
        from t returning *
      ), first as (
        insert into attempt (id, workspace_id, run_id, ordinal, pool_id, priority, scheduled_at, state, lost_after_ms,
          created_at, needs, epoch, nonce, worker_id, worker_name, told_generation, told_seq, lease_expires_at, claimed_at)
        select r.attempt_id, r.workspace_id, r.id, r.attempts, r.pool_id, ${effectivePriority}, r.due_at, r.state,
          r.lost_after_ms, r.created_at, r.needs, coalesce(g.epoch, 0), g.nonce, g.worker_id, g.worker_name, g.generation, g.seq, g.lease, g.at
        from made r cross join t left join (select 1 as epoch, gen_random_uuid()::text as nonce, ${slot?.workerId ?? null}::uuid as worker_id,
          ${slot?.workerName ?? null}::text as worker_name, ${slot?.poll.generation ?? null}::bigint as generation,
          ${slot?.poll.seq ?? null}::bigint as seq, now + make_interval(secs => ${args.claimLeaseMs / 1000}) as lease, now as at from t) g on t.given
        where r.attempt_id is not null
        returning epoch, nonce
      ), changes as (${insertRunChanges(sql`made`)})
      select ${columns(run, "r")}, t.waits, f.epoch, f.nonce from made r cross join t left join first f on t.given`,
  );
  if (raw === undefined) return null;
  const row = rowOf(run, raw);
  if (row.attemptId !== null) failpoint("admit");
  return { row, waits: raw.waits, given: givenOf(args, row, raw) };
}

interface RawMade extends RawRow {
  readonly waits: boolean;
  /** The claim of an attempt that was created as claimed. */
  readonly epoch: number | null;
  readonly nonce: string | null;
}

function givenOf({ slot, version }: NewRun, row: RunRow, raw: RawMade): AssignedAttempt | null {
  if (slot === null || row.attemptId === null || raw.epoch === null || raw.nonce === null) return null;
  const { attempts: ordinal, deployment, parameters, trigger, scheduledAt } = row;
  return {
    attemptId: row.attemptId,
    epoch: raw.epoch,
    nonce: raw.nonce,
    workerId: slot.workerId,
    ordinal,
    runId: row.id,
    deployment,
    version: row.version,
    spec: version.specJws,
    parameters,
    trigger,
    scheduledAt,
    endsInMs: row.runTimeoutMs,
  };
}
