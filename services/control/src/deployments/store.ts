import type { CodePin, Entry, Spec } from "@towpath/contract";
import type { z } from "zod";
import { and, asc, desc, eq, gt, inArray, lt, sql } from "#sql";
import { type Clock, now, type Queryable, type Tx } from "../kernel/index.ts";
import { pool } from "../pools/table.ts";
import { deployment, deploymentVersion } from "./table.ts";

/** The most names that are searched for a suggestion. */
const SUGGESTIONS_MAX = 500;

/** The columns of a version in lists: fields of the spec, not all of it. */
const versionColumns = {
  versionId: deploymentVersion.id,
  version: deploymentVersion.version,
  keyId: deploymentVersion.keyId,
  code: sql<CodePin>`${deploymentVersion.spec} -> 'code'`,
  entry: sql<z.infer<typeof Entry>>`${deploymentVersion.spec} -> 'entry'`,
  expiresAt: sql<string | null>`${deploymentVersion.spec} ->> 'expiresAt'`,
  registeredAt: deploymentVersion.registeredAt,
  registeredBy: deploymentVersion.registeredBy,
};

const deploymentColumns = {
  ...versionColumns,
  id: deployment.id,
  name: deployment.name,
  pool: pool.name,
  specJws: deploymentVersion.specJws,
  dueInput: sql<boolean>`coalesce((${deploymentVersion.spec} -> 'dueInput')::boolean, false)`,
  createdAt: deployment.createdAt,
};

const pinnedColumns = {
  deploymentId: deployment.id,
  name: deployment.name,
  versionId: deploymentVersion.id,
  version: deploymentVersion.version,
  poolId: deploymentVersion.poolId,
  pool: pool.name,
  spec: deploymentVersion.spec,
  specJws: deploymentVersion.specJws,
};

/** Whether a row of deployment is not removed. */
export const IS_THERE = sql`${deployment.removedVersion} is distinct from ${deployment.latestVersion}`;

/** The latest version of a deployment that is not removed. */
const isLatest = and(
  eq(deploymentVersion.deploymentId, deployment.id),
  eq(deploymentVersion.version, deployment.latestVersion),
  IS_THERE,
);

function latestOf(from: Queryable) {
  return from
    .select(deploymentColumns)
    .from(deployment)
    .innerJoin(deploymentVersion, isLatest)
    .innerJoin(pool, eq(pool.id, deploymentVersion.poolId));
}

/** A version in a list. */
export type VersionRow = Pick<Awaited<ReturnType<typeof latestOf>>[number], keyof typeof versionColumns>;
/** A deployment with its latest version. */
export type DeploymentRow = Awaited<ReturnType<typeof latestOf>>[number];

/** One deployment by name. */
export async function selectDeployment(
  from: Queryable,
  args: { workspaceId: string; name: string },
): Promise<DeploymentRow | null> {
  const [row] = await latestOf(from).where(
    and(eq(deployment.workspaceId, args.workspaceId), eq(deployment.name, args.name)),
  );
  return row ?? null;
}

/** A deployment by name, also a removed one, with the name of who removed it last. */
export async function selectIdentity(
  from: Queryable,
  args: { workspaceId: string; name: string },
): Promise<{ id: string; removedBy: string | null } | null> {
  const [row] = await from
    .select({ id: deployment.id, removedBy: deployment.removedBy })
    .from(deployment)
    .where(and(eq(deployment.workspaceId, args.workspaceId), eq(deployment.name, args.name)));
  return row ?? null;
}

/** Deployments by name, one more than a page. */
export function selectDeployments(
  from: Queryable,
  args: {
    workspaceId: string;
    deployment?: string | undefined;
    stage?: string | undefined;
    after: string | null;
    limit: number;
  },
): Promise<DeploymentRow[]> {
  return latestOf(from)
    .where(
      and(
        eq(deployment.workspaceId, args.workspaceId),
        args.deployment === undefined
          ? undefined
          : sql`split_part(${deployment.name}, '@', 1) = ${args.deployment}`,
        args.stage === undefined ? undefined : sql`split_part(${deployment.name}, '@', 2) = ${args.stage}`,
        args.after === null ? undefined : gt(deployment.name, args.after),
      ),
    )
    .orderBy(asc(deployment.name))
    .limit(args.limit + 1);
}

/** Versions of a deployment, newest first, one more than a page. */
export function selectVersions(
  from: Queryable,
  args: { workspaceId: string; deploymentId: string; before: number | null; limit: number },
): Promise<VersionRow[]> {
  return from
    .select(versionColumns)
    .from(deploymentVersion)
    .where(
      and(
        eq(deploymentVersion.workspaceId, args.workspaceId),
        eq(deploymentVersion.deploymentId, args.deploymentId),
        args.before === null ? undefined : lt(deploymentVersion.version, args.before),
      ),
    )
    .orderBy(desc(deploymentVersion.version))
    .limit(args.limit + 1);
}

/** The number of the version before this one, or null. Numbers may have gaps. */
export async function selectPrevious(
  from: Queryable,
  args: { workspaceId: string; deploymentId: string; version: number },
): Promise<number | null> {
  const [row] = await selectVersions(from, { ...args, before: args.version, limit: 0 });
  return row?.version ?? null;
}

/** Some names of deployments, for suggestions. */
export async function selectNames(from: Queryable, workspaceId: string): Promise<string[]> {
  const rows = await from
    .select({ name: deployment.name })
    .from(deployment)
    .where(and(eq(deployment.workspaceId, workspaceId), IS_THERE))
    .orderBy(asc(deployment.name))
    .limit(SUGGESTIONS_MAX);
  return rows.map((row) => row.name);
}

/** Which of these names deployments have. */
export async function selectExisting(
  from: Queryable,
  args: { workspaceId: string; names: readonly string[] },
): Promise<string[]> {
  const rows = await from
    .select({ name: deployment.name })
    .from(deployment)
    .where(
      and(eq(deployment.workspaceId, args.workspaceId), inArray(deployment.name, [...args.names]), IS_THERE),
    );
  return rows.map((row) => row.name);
}

/** The latest version of a deployment with all fields that a run pins. */
export async function selectLatestPinned(from: Queryable, args: { workspaceId: string; name: string }) {
  const [row] = await from
    .select(pinnedColumns)
    .from(deployment)
    .innerJoin(deploymentVersion, isLatest)
    .innerJoin(pool, eq(pool.id, deploymentVersion.poolId))
    .where(and(eq(deployment.workspaceId, args.workspaceId), eq(deployment.name, args.name)))
    .prepare("select_latest_pinned")
    .execute();
  return row ?? null;
}

/** One version by its id with all fields that a run pins. */
export async function selectPinned(from: Queryable, args: { workspaceId: string; versionId: string }) {
  const [row] = await from
    .select(pinnedColumns)
    .from(deploymentVersion)
    .innerJoin(deployment, eq(deployment.id, deploymentVersion.deploymentId))
    .innerJoin(pool, eq(pool.id, deploymentVersion.poolId))
    .where(
      and(eq(deploymentVersion.workspaceId, args.workspaceId), eq(deploymentVersion.id, args.versionId)),
    );
  return row ?? null;
}

/** One version of a deployment with its spec, also as it was signed. */
export async function selectVersion(
  from: Queryable,
  args: { workspaceId: string; deploymentId: string; version: number },
) {
  const [row] = await from
    .select({ ...versionColumns, spec: deploymentVersion.spec, specJws: deploymentVersion.specJws })
    .from(deploymentVersion)
    .where(
      and(
        eq(deploymentVersion.workspaceId, args.workspaceId),
        eq(deploymentVersion.deploymentId, args.deploymentId),
        eq(deploymentVersion.version, args.version),
      ),
    );
  return row ?? null;
}

/** A locked deployment. */
export interface LockedDeployment {
  readonly id: string;
  /** 0 if it has just been inserted, whatever its column says. */
  readonly latestVersion: number;
  readonly removed: boolean;
}

/** Locks the deployment's row, also that of a removed one. */
export async function lockExisting(
  tx: Tx,
  args: { workspaceId: string; name: string },
): Promise<LockedDeployment | null> {
  const [row] = await tx
    .select({
      id: deployment.id,
      latestVersion: deployment.latestVersion,
      removed: sql<boolean>`not (${IS_THERE})`,
    })
    .from(deployment)
    .where(and(eq(deployment.workspaceId, args.workspaceId), eq(deployment.name, args.name)))
    .for("update");
  return row ?? null;
}

/** Locks the deployment's row, and inserts it if it is missing. So versions are registered one after another. */
export async function lockDeployment(
  tx: Tx,
  args: { id: string; workspaceId: string; name: string },
): Promise<LockedDeployment | null> {
  const inserted = await tx
    .insert(deployment)
    .values({ ...args, latestVersion: 1 })
    .onConflictDoNothing()
    .returning({ id: deployment.id });
  if (inserted.length > 0) return { id: args.id, latestVersion: 0, removed: false };
  return lockExisting(tx, args);
}

/** Marks a deployment as removed. The caller holds its lock. */
export async function markRemoved(
  tx: Tx,
  args: { workspaceId: string; id: string; by: string },
): Promise<void> {
  await tx
    .update(deployment)
    .set({ removedVersion: sql`${deployment.latestVersion}`, removedBy: args.by })
    .where(and(eq(deployment.workspaceId, args.workspaceId), eq(deployment.id, args.id)));
}

/** The signed spec of one version, or null. */
export async function selectSigned(
  from: Queryable,
  args: { workspaceId: string; deploymentId: string; version: number },
): Promise<string | null> {
  const [row] = await from
    .select({ specJws: deploymentVersion.specJws })
    .from(deploymentVersion)
    .where(
      and(
        eq(deploymentVersion.workspaceId, args.workspaceId),
        eq(deploymentVersion.deploymentId, args.deploymentId),
        eq(deploymentVersion.version, args.version),
      ),
    );
  return row?.specJws ?? null;
}

/** A version to insert. */
export interface NewVersion {
  readonly id: string;
  readonly workspaceId: string;
  readonly deploymentId: string;
  readonly poolId: string;
  readonly keyId: string;
  readonly specJws: string;
  readonly spec: Spec;
  readonly registeredBy: string;
}

/** Inserts the next version. It brings a removed deployment back. The caller holds the deployment's lock. */
export async function insertVersion(tx: Tx, args: NewVersion & { clock: Clock }): Promise<void> {
  const { clock, ...row } = args;
  await tx
    .insert(deploymentVersion)
    .values({ ...row, version: row.spec.version, registeredAt: sql`${now(clock)}` });
  await tx
    .update(deployment)
    .set({ latestVersion: row.spec.version })
    .where(and(eq(deployment.workspaceId, row.workspaceId), eq(deployment.id, row.deploymentId)));
}

/** An old version of a deployment. */
export interface SupersededVersion extends Record<string, unknown> {
  readonly workspaceId: string;
  readonly versionId: string;
  readonly deployment: string;
}

/**
 * Versions that were replaced longer ago than `agoMs`. The order is random, so that versions that are still needed do
 * not always come first. Small tables.
 */
export async function selectSuperseded(
  from: Queryable,
  clock: Clock,
  args: { agoMs: number; limit: number },
): Promise<SupersededVersion[]> {
  return from.execute<SupersededVersion>(sql`
    select v.workspace_id as "workspaceId", v.id as "versionId", d.name as deployment
    from deployment d join deployment_version v on v.deployment_id = d.id and v.version < d.latest_version
    where exists (select 1 from deployment_version n where n.deployment_id = d.id and n.version > v.version
      and n.registered_at < ${now(clock)} - make_interval(secs => ${args.agoMs / 1000}))
    order by random() limit ${args.limit}`);
}

/** Deletes a version that is not the latest of its deployment. */
export async function deleteVersionRow(
  tx: Tx,
  args: { workspaceId: string; versionId: string },
): Promise<void> {
  await tx.execute(sql`
    delete from deployment_version v using deployment d
    where v.workspace_id = ${args.workspaceId} and v.id = ${args.versionId} and d.id = v.deployment_id
      and v.version < d.latest_version`);
}

/** A deployment with a version that runs in a pool, or may run a task there. A removed one keeps its latest version. */
export interface PoolUser {
  readonly name: string;
  readonly isRemoved: boolean;
}

/** Some deployments, also removed ones, with a version that runs in a pool, or may run a task there. */
export async function deploymentsOfPool(
  from: Queryable,
  args: { workspaceId: string; pool: { id: string; name: string }; limit: number },
): Promise<PoolUser[]> {
  const { workspaceId, pool, limit } = args;
  const rows = await from.execute<{ name: string; isRemoved: boolean }>(sql`
    select distinct d.name, coalesce(d.removed_version = d.latest_version, false) as "isRemoved"
    from deployment_version v
    join deployment d on d.workspace_id = v.workspace_id and d.id = v.deployment_id
    where v.workspace_id = ${workspaceId} and (v.pool_id = ${pool.id} or jsonb_exists(v.spec -> 'pools', ${pool.name})
      or exists (select from jsonb_each(coalesce(v.spec -> 'remoteTasks', '{}')) t
        where jsonb_exists(t.value -> 'pools', ${pool.name})))
    order by name limit ${limit}`);
  return rows.map(({ name, isRemoved }) => ({ name, isRemoved }));
}
