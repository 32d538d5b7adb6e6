import { type AskedWait, JOB_TRANSITIONS, type JobState, LIMITS, type Ref } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  type Clock,
  columns,
  now,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
  type Which,
} from "../../kernel/index.ts";
import type { RunName } from "../history/find.ts";
import { type JobRow, job, type RunRow } from "../table.ts";

const jobsOf = (raws: readonly RawRow[]): JobRow[] => raws.map((raw) => rowOf(job, raw));

/** The job under the id of a wait. Primary key. */
export async function findJob(
  from: Queryable,
  args: { workspaceId: string; jobId: string },
): Promise<JobRow | null> {
  const [raw] = await rows<RawRow>(
    from,
    sql`select ${columns(job, "j")} from job j where j.workspace_id = ${args.workspaceId} and j.id = ${args.jobId}`,
  );
  return raw === undefined ? null : rowOf(job, raw);
}

/** Whether a workspace is sealed. A backend that calls back has no key that says it. Primary key. */
export async function takesNoPlainValues(from: Queryable, workspaceId: string): Promise<boolean> {
  const [row] = await rows<{ sealed: boolean }>(
    from,
    sql`select sealed_at is not null as sealed from workspace where id = ${workspaceId}`,
  );
  return row?.sealed === true;
}

/** Every job of a run, the first wanted first. Index job_of_run. */
export async function listJobsOfRun(from: Queryable, args: RunName & { limit: number }): Promise<JobRow[]> {
  return jobsOf(
    await rows<RawRow>(
      from,
      sql`select ${columns(job, "j")} from job j where j.workspace_id = ${args.workspaceId} and j.run_id = ${args.runId}
        order by j.created_at, j.id limit ${args.limit}`,
    ),
  );
}

/** A job that is only wanted so far. Its wait is made in the same transaction. */
export async function insertJob(
  tx: Tx,
  clock: Clock,
  args: { id: string; attemptId: string; run: RunRow; asked: Extract<AskedWait, { kind: "job" }> },
): Promise<void> {
  const { id, asked, run } = args;
  const callbacks = asked.callback === undefined ? [] : [asked.callback];
  await rows(
    tx,
    sql`insert into job (workspace_id, id, run_id, pool_id, deployment, version_id, version, name, state, intended_by,
        retries, poll_every_ms, cancels, callbacks, created_at)
      values (${run.workspaceId}, ${id}, ${run.id}, ${run.poolId}, ${run.deployment}, ${run.versionId}, ${run.version},
        ${asked.job}, 'intended', ${args.attemptId}, ${run.retries}, ${asked.pollEveryMs}, ${asked.cancels},
        ${textArray(callbacks)}::text[], date_trunc('milliseconds', ${now(clock)}))
      on conflict do nothing`,
  );
}

/** Lets one more token end a job without a handle: an earlier attempt may have submitted it with another token. */
export async function addCallback(
  tx: Tx,
  args: { workspaceId: string; jobId: string; hash: string },
): Promise<void> {
  await rows(
    tx,
    sql`update job set callbacks = callbacks || ${args.hash}::text
      where workspace_id = ${args.workspaceId} and id = ${args.jobId} and handle is null
        and not ${args.hash} = any(callbacks) and cardinality(callbacks) < ${LIMITS.jobCallbacks}`,
  );
}

/** Stores the handle of a job, once. A job that is being cancelled can then be cancelled by its handle. */
export async function saveHandle(
  tx: Tx,
  clock: Clock,
  args: RunName & { jobId: string; handle: Ref },
): Promise<JobRow | null> {
  const { from, to } = JOB_TRANSITIONS.submit;
  const [raw] = await rows<RawRow>(
    tx,
    sql`update job j set handle = ${JSON.stringify(args.handle)}::json, submitted_at = ${now(clock)},
        state = case when j.state = any(${textArray(from)}::text[]) then ${to[0]} else j.state end
      where j.workspace_id = ${args.workspaceId} and j.id = ${args.jobId} and j.run_id = ${args.runId} and j.handle is null
      returning ${columns(job, "j")}`,
  );
  return raw === undefined ? null : rowOf(job, raw);
}

/** The end of a job. With a lease, it counts only under this lease. */
export interface JobEnd {
  readonly id: string;
  readonly lease: string | null;
  readonly from: readonly JobState[];
  readonly to: JobState;
  readonly failed: boolean;
}

/** Ends jobs, each in its way, in one statement. Those that are not in `from`, or not under this lease, are missing. Primary key. */
export async function saveJobEnds(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; ends: readonly JobEnd[] },
): Promise<JobRow[]> {
  return jobsOf(
    await rows<RawRow>(
      tx,
      sql`update job j set state = e."to", failed = e.failed, stumble = null, ended_at = ${now(clock)},
          lease = null, worker_id = null, lease_expires_at = null
        from json_to_recordset(${JSON.stringify(args.ends)}::json)
          as e (id uuid, lease uuid, "from" text[], "to" text, failed boolean)
        where j.workspace_id = ${args.workspaceId} and j.id = any(${textArray(args.ends.map((end) => end.id))}::uuid[])
          and j.id = e.id and j.state = any(e."from") and (e.lease is null or j.lease = e.lease)
        returning ${columns(job, "j")}`,
    ),
  );
}

/** The most jobs that one round of the periodic job gives up on. */
export const LEAVING_BATCH = 200;

/** Milliseconds until cancelling a job is given up, or null. Index job_cancelling. */
export function untilGivenUp(clock: Clock, among: Which["among"]): SQL {
  return sql`select extract(epoch from j.cancel_until - ${now(clock)}) * 1000 from job j
    where j.state = 'cancelling' and ${among(jobColumns)} order by j.cancel_until limit 1`;
}

const jobColumns = { workspaceId: sql`j.workspace_id`, id: sql`j.id` } as const;

/** A job whose cancellation took too long, by the run that people see. */
export interface GivenUpJob {
  readonly workspaceId: string;
  readonly id: string;
  readonly subjectId: string;
}

/** Jobs whose cancellation took too long, without locks. Index job_cancelling. */
export function listGivenUp(from: Queryable, clock: Clock, which: Which): Promise<GivenUpJob[]> {
  return rows(
    from,
    sql`select j.workspace_id as "workspaceId", j.id, j.run_id as "subjectId" from job j
      where j.state = 'cancelling' and j.cancel_until <= ${now(clock)} and ${which.among(jobColumns)}
      order by j.cancel_until limit ${which.limit}`,
  );
}
