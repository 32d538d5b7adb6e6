import { sql } from "#sql";
import {
  after,
  type Clock,
  columns,
  now,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  textArray,
  type WorkerScope,
} from "../../kernel/index.ts";
import { type JobRow, job } from "../table.ts";

/** The state of an open job, as a worker found it. */
export interface PolledJob {
  readonly jobId: string;
  readonly lease: string;
  /** Null: the poll failed, or the cancellation failed. */
  readonly says: string | null;
  readonly stumble: string | null;
  readonly agoMs: number;
}

/**
 * Stores the states that backends report of jobs, under the leases of the workers that polled them, and renews these.
 * Primary key.
 */
export async function savePolls(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; polls: readonly PolledJob[]; leaseMs: number },
): Promise<void> {
  await rows(
    from,
    sql`update job j set says = coalesce(p.says, j.says), stumble = p.stumble,
        polled_at = case when p.says is null then j.polled_at
          else ${now(clock)} - make_interval(secs => p."agoMs" / 1000.0) end,
        lease_expires_at = ${after(clock, args.leaseMs)}
      from json_to_recordset(${JSON.stringify(args.polls)}::json)
        as p ("jobId" uuid, lease uuid, says text, stumble text, "agoMs" float8)
      where j.workspace_id = ${args.workspaceId} and j.id = any(${textArray(args.polls.map((one) => one.jobId))}::uuid[])
        and j.id = p."jobId" and j.lease = p.lease`,
  );
}

/** The named jobs that a worker still tends. Renews leases that are half over. Primary key. */
export async function renewJobs(
  from: Queryable,
  clock: Clock,
  args: { worker: WorkerScope; held: readonly { jobId: string; lease: string }[]; leaseMs: number },
): Promise<Pick<JobRow, "id" | "state">[]> {
  const { worker, held, leaseMs } = args;
  const named = sql`json_to_recordset(${JSON.stringify(held)}::json) as h ("jobId" uuid, lease uuid)`;
  const ids = textArray(held.map((one) => one.jobId));
  const mine = sql`j.workspace_id = ${worker.workspaceId} and j.id = any(${ids}::uuid[]) and j.id = h."jobId" and j.lease = h.lease`;
  await rows(
    from,
    sql`update job j set lease_expires_at = ${after(clock, leaseMs)} from ${named}
      where ${mine} and j.lease_expires_at < ${after(clock, leaseMs / 2)}`,
  );
  return rows(from, sql`select j.id, j.state from job j, ${named} where ${mine}`);
}

/**
 * Gives a worker jobs of its pool that no worker tends: they are new, or their worker was silent for a whole lease, or
 * this worker has forgotten them. One that this worker names is none of them: it may just have given it back, and others come
 * first. Index job_open.
 */
export async function takeJobs(
  from: Queryable,
  clock: Clock,
  args: { worker: WorkerScope; free: number; held: readonly { jobId: string }[]; leaseMs: number },
): Promise<JobRow[]> {
  const { worker } = args;
  const raws = await rows<RawRow>(
    from,
    sql`update job j set lease = gen_random_uuid(), worker_id = ${worker.workerId},
        lease_expires_at = ${after(clock, args.leaseMs)}
      where j.workspace_id = ${worker.workspaceId} and j.id = any(array(
        select o.id from job o
        where o.workspace_id = ${worker.workspaceId} and o.pool_id = ${worker.poolId}
          and o.state in ('intended', 'submitted', 'cancelling')
          and (o.state = 'cancelling' or o.state = 'submitted' and o.poll_every_ms is not null)
          and o.id <> all(${textArray(args.held.map((one) => one.jobId))}::uuid[])
          and (o.lease_expires_at is null or o.lease_expires_at <= ${now(clock)} or o.worker_id = ${worker.workerId})
        order by o.id limit ${args.free} for update skip locked))
      returning ${columns(job, "j")}`,
  );
  return raws.map((raw) => rowOf(job, raw));
}

/** Lets other workers tend jobs that one gives back. Primary key. */
export async function releaseJobs(
  from: Queryable,
  args: { workspaceId: string; released: readonly { jobId: string; lease: string }[] },
): Promise<void> {
  await rows(
    from,
    sql`update job j set lease = null, worker_id = null, lease_expires_at = null
      from json_to_recordset(${JSON.stringify(args.released)}::json) as h ("jobId" uuid, lease uuid)
      where j.workspace_id = ${args.workspaceId} and j.id = h."jobId" and j.lease = h.lease`,
  );
}

/** Jobs by their ids. Primary key. */
export async function findJobs(
  from: Queryable,
  args: { workspaceId: string; jobIds: readonly string[] },
): Promise<JobRow[]> {
  const raws = await rows<RawRow>(
    from,
    sql`select ${columns(job, "j")} from job j
      where j.workspace_id = ${args.workspaceId} and j.id = any(${textArray(args.jobIds)}::uuid[])`,
  );
  return raws.map((raw) => rowOf(job, raw));
}

/** The most open jobs of a pool that are searched for the next end of a lease. */
const LEASES_MAX = 10_000;

/**
 * Milliseconds until the first lease of another worker of the pool ends, so that its jobs are free: infinite while
 * there is none. Null if the pool has no open job. Index job_open.
 */
export async function untilJobsFree(
  from: Queryable,
  clock: Clock,
  { worker }: { worker: WorkerScope },
): Promise<number | null> {
  const [open] = await rows<{ jobs: number; ms: number | null }>(
    from,
    sql`select count(*)::int as jobs, (extract(epoch from min(j.lease_expires_at)
          filter (where j.worker_id <> ${worker.workerId}) - ${now(clock)}) * 1000)::float8 as ms
      from (select o.worker_id, o.lease_expires_at from job o
        where o.workspace_id = ${worker.workspaceId} and o.pool_id = ${worker.poolId}
          and o.state in ('intended', 'submitted', 'cancelling')
        limit ${LEASES_MAX}) j`,
  );
  return open === undefined || open.jobs === 0 ? null : (open.ms ?? Number.POSITIVE_INFINITY);
}

/** The signed specs of versions. Primary key. */
export function listSpecs(
  from: Queryable,
  args: { workspaceId: string; versionIds: readonly string[] },
): Promise<{ versionId: string; spec: string }[]> {
  return rows(
    from,
    sql`select v.id as "versionId", v.spec_jws as spec from deployment_version v
      where v.workspace_id = ${args.workspaceId} and v.id = any(${textArray(args.versionIds)}::uuid[])`,
  );
}
