import { sql } from "#sql";
import type { PinnedVersion } from "../../deployments/index.ts";
import { type Clock, failpoint, now, rows, type Tx, textArray } from "../../kernel/index.ts";
import { isLimited, isTagLimited } from "../../limits/index.ts";
import { needsText } from "../needs.ts";
import { insertRunChanges } from "./changes.ts";
import type { NewRun } from "./create.ts";
import { effectivePriority } from "./run-columns.ts";

/** The fields of one of many new runs that differ between them. */
export type OneOfMany = Pick<
  NewRun,
  | "id"
  | "fingerprint"
  | "trigger"
  | "priority"
  | "tags"
  | "parameters"
  | "attemptId"
  | "scheduledAt"
  | "expireAfterMs"
>;

function itemOf(one: OneOfMany): object {
  return {
    id: one.id,
    fingerprint: Buffer.from(one.fingerprint).toString("hex"),
    trigger: one.trigger,
    priority: one.priority,
    tags: textArray(one.tags),
    parameters: one.parameters,
    attempt_id: one.attemptId,
    scheduled_at: one.scheduledAt,
    expire_after_ms: one.expireAfterMs,
  };
}

/**
 * Inserts many runs of one version in one statement, as `insertRun` does for one. Skips taken ids. Runs that need slots
 * and runs for later are scheduled; `duePeriodicJob` lets a due run that is not `ready` enter its wait list. Locks keys
 * in the order of ids, so that overlapping batches wait for each other.
 */
export async function insertRuns(
  tx: Tx,
  clock: Clock,
  args: {
    readonly workspaceId: string;
    readonly deployment: string;
    readonly version: PinnedVersion;
    readonly queue: string | null;
    readonly lostAfterMs: number;
    readonly runs: readonly OneOfMany[];
  },
): Promise<{ id: string; ready: boolean }[]> {
  const { version } = args;
  const limited = isLimited({
    workspaceId: sql`${args.workspaceId}::uuid`,
    deploymentId: sql`${version.deploymentId}::uuid`,
    deployment: sql`${args.deployment}::text`,
    pool: sql`${version.pool}::text`,
    queue: sql`${args.queue}::text`,
  });
  const tagged = isTagLimited({ workspaceId: sql`${args.workspaceId}::uuid`, tags: sql`i.tags` });
  const made = await rows<{ id: string; ready: boolean }>(
    tx,
    sql`with l as materialized (select ${limited} as limited, date_trunc('milliseconds', ${now(clock)}) as now),
      i as materialized (
        select * from json_to_recordset(${JSON.stringify(args.runs.map(itemOf))}::json) as i (id uuid, fingerprint text,
          trigger json, priority integer, tags text[], parameters json, attempt_id uuid, scheduled_at timestamptz,
          expire_after_ms bigint)
      ), key as (
        insert into run_key (workspace_id, run_id, fingerprint)
        select ${args.workspaceId}::uuid, id, decode(fingerprint, 'hex') from i order by id
        on conflict do nothing returning run_id
      ), t as (
        select i.*, l.now, coalesce(i.scheduled_at, l.now) as due, coalesce(i.scheduled_at, l.now) <= l.now and not l.limited and not ${tagged} as goes
        from i join key on key.run_id = i.id cross join l
      ), made as (
        insert into run (workspace_id, id, deployment_id, version_id, pool_id, deployment, version, pool, queue,
          state, trigger, priority, tags, parameters, lost_after_ms, attempt_id, attempts, created_at, scheduled_at, due_at,
          expires_at, needs, run_timeout_ms)
        select ${args.workspaceId}::uuid, id, ${version.deploymentId}::uuid, ${version.versionId}::uuid,
          ${version.poolId}::uuid, ${args.deployment}, ${version.version}::integer, ${version.pool},
          ${args.queue}, case when goes then 'ready' else 'scheduled' end, trigger, priority, tags, parameters,
          ${args.lostAfterMs}::bigint, case when goes then attempt_id end, case when goes then 1 else 0 end, now, due, due,
          due + make_interval(secs => expire_after_ms / 1000.0), ${needsText(version.spec.compute)},
          ${version.spec.runTimeoutMs}::bigint
        from t order by id returning *
      ), first as (
        insert into attempt (id, workspace_id, run_id, ordinal, pool_id, priority, scheduled_at, state, lost_after_ms,
          created_at, needs)
        select r.attempt_id, r.workspace_id, r.id, r.attempts, r.pool_id, ${effectivePriority}, r.due_at, 'ready',
          r.lost_after_ms, r.created_at, r.needs
        from made r where r.attempt_id is not null order by r.id
      ), changes as (${insertRunChanges(sql`made`)})
      select r.id, r.attempt_id is not null as ready from made r`,
  );
  if (made.some((one) => one.ready)) failpoint("admit");
  return made;
}

/** The fingerprints that are stored under taken ids, by id. */
export async function findRunKeys(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<Map<string, Uint8Array>> {
  const found = await rows<{ runId: string; fingerprint: Uint8Array }>(
    tx,
    sql`select run_id as "runId", fingerprint from run_key
      where workspace_id = ${args.workspaceId} and run_id = any(${textArray(args.runIds)}::uuid[])`,
  );
  return new Map(found.map(({ runId, fingerprint }) => [runId, fingerprint]));
}
