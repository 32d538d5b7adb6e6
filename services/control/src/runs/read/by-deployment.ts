import type { LatestRuns, PinnedVersions, VersionTrust } from "@towpath/contract";
import { FINAL_RUN_STATES, Problem } from "@towpath/contract";
import { sql } from "#sql";
import { getVersionDetail, type Registered } from "../../deployments/index.ts";
import {
  columns,
  type Deps,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Scope,
  type Tx,
  textArray,
} from "../../kernel/index.ts";
import { type RunSummaryRow, run } from "../table.ts";
import { selectUsual } from "../why/facts.ts";

/** The columns that these reads leave out. */
const UNLISTED = ["parameters", "error", "result"] as const;

/**
 * The latest runs of each of these deployments, newest first. Indexes run_newest (the live table is small) and
 * run_history_deployment, one range for each deployment and final state.
 */
async function selectLatestRuns(
  from: Queryable,
  args: { workspaceId: string; deployments: readonly string[]; each: number },
): Promise<RunSummaryRow[]> {
  const listed = columns(run, "r", UNLISTED);
  const newest = sql`order by r.created_at desc, r.id desc limit ${args.each}`;
  const raws = await rows<RawRow>(
    from,
    sql`select r.* from unnest(${textArray(args.deployments)}::text[]) as d (name), lateral (
        select r.* from (
          (select ${listed} from run r
            where r.workspace_id = ${args.workspaceId} and r.deployment = d.name ${newest})
          union all
          (select h.* from unnest(${textArray(FINAL_RUN_STATES)}::text[]) as s (state), lateral (
            select ${listed} from run_history r
              where r.workspace_id = ${args.workspaceId} and r.deployment = d.name and r.state = s.state ${newest}) h)
        ) r ${newest}
      ) r order by r.deployment, r.created_at desc, r.id desc`,
  );
  return raws.map((raw) => rowOf(run, raw, UNLISTED));
}

/** A run of a version, and whether a worker started or refused it. */
interface VersionRunRow {
  readonly runId: string;
  readonly worker: string | null;
  readonly refused: boolean;
  readonly reason: string;
  readonly at: string;
}

/** The most runs of each state that are read after the registration of a version. */
const LOOKED_AT_MAX = 200;

/**
 * The first runs of a version that a worker has started or refused, oldest first, among the first of its deployment since
 * it was registered. Index run_history_deployment, one range for each final state.
 */
async function selectVersionRuns(
  from: Queryable,
  args: { workspaceId: string; deployment: string; version: number; since: string },
): Promise<VersionRunRow[]> {
  const selected = sql`r.id, r.version, r.state, r.cause, r.error, r.attempt_id, r.created_at, r.started_at, r.ended_at`;
  const first = sql`r.workspace_id = ${args.workspaceId} and r.deployment = ${args.deployment}
    and r.created_at >= ${args.since}::timestamptz`;
  const oldest = sql`order by r.created_at, r.id limit ${LOOKED_AT_MAX}`;
  return rows(
    from,
    sql`select r.id as "runId", r.cause = 'refused' and r.cause is not null as refused,
        coalesce(r.error ->> 'message', '') as reason,
        to_char(coalesce(r.started_at, r.ended_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at,
        coalesce((select t.worker_name from attempt t where t.id = r.attempt_id),
          (select t.worker_name from attempt_history t where t.id = r.attempt_id and t.run_ended_at = r.ended_at)) as worker
      from (
        (select ${selected} from run r where ${first} ${oldest})
        union all
        (select h.* from unnest(${textArray(FINAL_RUN_STATES)}::text[]) as s (state), lateral (
          select ${selected} from run_history r where ${first} and r.state = s.state ${oldest}) h)
      ) r
      where r.version = ${args.version} and (r.started_at is not null or r.cause = 'refused')
      order by coalesce(r.started_at, r.ended_at), r.id`,
  );
}

const iso = (instant: Date | null) => instant?.toISOString() ?? null;

/** The latest runs of each of several deployments. A deployment that does not exist or has no runs is missing. */
export async function listLatestRuns(
  deps: Pick<Deps, "database">,
  { workspaceId }: Pick<Scope, "workspaceId">,
  args: { deployments: readonly string[]; each: number },
): Promise<LatestRuns> {
  const deployments = [...new Set(args.deployments)];
  const [found, usual] = await Promise.all([
    selectLatestRuns(deps.database.reads, { workspaceId, each: args.each, deployments }),
    selectUsual(deps.database.reads, { workspaceId, deployments }),
  ]);
  const items = [...Map.groupBy(found, (row) => row.deployment)].map(([deployment, rows]) => ({
    deployment,
    usualMs: usual.get(deployment) ?? null,
    runs: rows.map((row) => ({
      id: row.id,
      state: row.state,
      createdAt: row.createdAt.toISOString(),
      startedAt: iso(row.startedAt),
      endedAt: iso(row.endedAt),
      workedMs: row.workedMs,
      workingSince: iso(row.workingSince),
    })),
  }));
  return { items };
}

const shown = ({ runId, worker, at }: VersionRunRow) => ({ runId, worker, at });

/**
 * Whether workers accept a version's signature, which only they check: the first worker that started the version, and the
 * latest refusal.
 * @throws Problem `deployment-not-found`, also if the deployment exists and the version does not.
 */
export async function getVersionTrust(
  deps: Pick<Deps, "database">,
  scope: Scope,
  args: { name: string; version: number },
): Promise<VersionTrust> {
  const { version } = await getVersionDetail(deps, { scope, ...args });
  const runs = await selectVersionRuns(deps.database.reads, {
    workspaceId: scope.workspaceId,
    deployment: args.name,
    version: args.version,
    since: version.registeredAt,
  });
  const started = runs.find((one) => !one.refused);
  const refused = runs.findLast((one) => one.refused);
  return {
    started: started === undefined ? null : shown(started),
    refused: refused === undefined ? null : { ...shown(refused), reason: refused.reason },
  };
}

/** The oldest version that runs of a deployment need which have not ended. Scans the live runs of the workspace. */
async function selectPinned(
  from: Queryable,
  args: { workspaceId: string; deployment: string },
): Promise<PinnedVersions> {
  const [found] = await rows<{ version: number; runId: string; count: number }>(
    from,
    sql`select r.version, r.id as "runId", (count(*) over ())::int as count from run r
      where r.workspace_id = ${args.workspaceId} and r.deployment = ${args.deployment} and r.ended_at is null
      order by r.version, r.created_at, r.id limit 1`,
  );
  return { oldest: found?.version ?? null, runs: found?.count ?? 0, runId: found?.runId ?? null };
}

/** The oldest version that runs of a deployment need which have not ended. A deployment that does not exist has none. */
export function getPinnedVersions(
  deps: Pick<Deps, "database">,
  { workspaceId }: Pick<Scope, "workspaceId">,
  args: { name: string },
): Promise<PinnedVersions> {
  return selectPinned(deps.database.reads, { workspaceId, deployment: args.name });
}

/**
 * Checks that a new version's floor stops no run. A run whose creation commits at the same moment is not seen: workers
 * refuse it with the reason.
 * @throws Problem `runs-below-floor`.
 */
export async function checkFloor(tx: Tx, { workspaceId, name, spec }: Registered): Promise<void> {
  const { oldest, runs, runId } = await selectPinned(tx, { workspaceId, deployment: name });
  if (oldest === null || oldest >= spec.floor) return;
  throw new Problem(
    "runs-below-floor",
    `${runs === 1 ? "A run" : `${runs} runs`} of "${name}" ${runs === 1 ? "has" : "have"} not ended, such as ${runId} of version ${oldest}. The floor ${spec.floor} of version ${spec.version} would stop that run. Sign it again with a floor of ${oldest}.`,
  );
}
