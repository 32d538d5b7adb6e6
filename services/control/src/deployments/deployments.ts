import {
  closest,
  type Deployment,
  DeploymentName,
  type DeploymentVersion,
  Problem,
  type SignedVersion,
  type Spec,
  type VersionDetail,
} from "@towpath/contract";
import { z } from "zod";
import {
  type Database,
  type Deps,
  type PageInput,
  pageOf,
  type Queryable,
  readCursor,
  type Scope,
  type Tx,
} from "../kernel/index.ts";
import { signedParameters } from "./read-spec.ts";
import { specChanges, withoutValues } from "./spec-changes.ts";
import * as store from "./store.ts";

/** A version with all fields that a run pins and a worker receives. */
export interface PinnedVersion {
  readonly deploymentId: string;
  /** The deployment's name. */
  readonly name: string;
  readonly versionId: string;
  readonly version: number;
  /** The pool where its runs wait: the first that the spec names. */
  readonly poolId: string;
  readonly pool: string;
  readonly spec: Spec;
  /** The compact JWS, byte for byte as registered. */
  readonly specJws: string;
}

/** The problem `deployment-not-found`: the deployment was removed, or the most similar name. */
async function deploymentNotFound(
  from: Queryable,
  args: { workspaceId: string; name: string },
): Promise<Problem> {
  const removed = await store.selectIdentity(from, args);
  if (removed !== null) {
    const suggestion = "`towpath deploy` registers it again";
    const by = removed.removedBy === null ? "" : ` by ${removed.removedBy}`;
    return new Problem("deployment-not-found", `Deployment "${args.name}" was removed${by}; ${suggestion}`, {
      faults: [{ path: "deployment", message: `"${args.name}" was removed${by}`, suggestion }],
    });
  }
  const near = closest(args.name, await store.selectNames(from, args.workspaceId));
  const suggestion = near === null ? "register it with `towpath deploy`" : `did you mean "${near}"?`;
  return new Problem("deployment-not-found", `There is no deployment "${args.name}"; ${suggestion}`, {
    faults: [{ path: "deployment", message: `no deployment "${args.name}"`, suggestion }],
  });
}

function shownVersion(row: store.VersionRow): DeploymentVersion {
  return {
    id: row.versionId,
    version: row.version,
    keyId: row.keyId,
    code: row.code,
    entry: row.entry,
    expiresAt: row.expiresAt,
    registeredAt: row.registeredAt.toISOString(),
    registeredBy: row.registeredBy,
  };
}

function shown(row: store.DeploymentRow): Deployment {
  return {
    id: row.id,
    name: row.name,
    pool: row.pool,
    parameters: signedParameters(row.specJws),
    dueInput: row.dueInput,
    latest: shownVersion(row),
    createdAt: row.createdAt.toISOString(),
  };
}

/** Deployments by name. */
export async function listDeployments(
  deps: Pick<Deps, "database">,
  args: { scope: Scope; deployment?: string | undefined; stage?: string | undefined } & PageInput,
): Promise<{ items: Deployment[]; next: string | null }> {
  const { deployment, stage, limit } = args;
  const after = readCursor(args.cursor, z.tuple([DeploymentName]))?.[0] ?? null;
  const which = { workspaceId: args.scope.workspaceId, deployment, stage, after, limit };
  const rows = await store.selectDeployments(deps.database.reads, which);
  return pageOf(rows, { limit: args.limit, item: shown, key: (row) => [row.name] });
}

/** The id of a deployment, also of a removed one: its runs still show their versions. */
async function identityNamed(from: Queryable, args: { workspaceId: string; name: string }): Promise<string> {
  const found = await store.selectIdentity(from, args);
  if (found === null) throw await deploymentNotFound(from, args);
  return found.id;
}

/**
 * One deployment with its latest version.
 * @throws Problem `deployment-not-found`.
 */
export async function getDeployment(
  from: Queryable,
  args: { workspaceId: string; name: string },
): Promise<Deployment> {
  const row = await store.selectDeployment(from, args);
  if (row === null) throw await deploymentNotFound(from, args);
  return shown(row);
}

/**
 * Versions of a deployment, newest first, also of a removed one.
 * @throws Problem `deployment-not-found`.
 */
export async function listVersions(
  deps: Pick<Deps, "database">,
  args: { scope: Scope; name: string } & PageInput,
): Promise<{ items: DeploymentVersion[]; next: string | null }> {
  const before = readCursor(args.cursor, z.tuple([z.int32()]))?.[0] ?? null;
  const { workspaceId } = args.scope;
  const id = await identityNamed(deps.database.reads, { workspaceId, name: args.name });
  const rows = await store.selectVersions(deps.database.reads, {
    workspaceId,
    deploymentId: id,
    before,
    limit: args.limit,
  });
  return pageOf(rows, { limit: args.limit, item: shownVersion, key: (row) => [row.version] });
}

/**
 * One version with its spec, and the differences from an earlier version.
 * @throws Problem `deployment-not-found`, also if only one of the versions is missing.
 */
export async function getVersionDetail(
  deps: Pick<Deps, "database">,
  args: { scope: Scope; name: string; version: number; since?: number | undefined },
): Promise<VersionDetail> {
  const { workspaceId } = args.scope;
  const id = await identityNamed(deps.database.reads, { workspaceId, name: args.name });
  const versionNumbered = async (version: number) => {
    const which = { workspaceId, deploymentId: id, version };
    const row = await store.selectVersion(deps.database.reads, which);
    if (row === null)
      throw new Problem("deployment-not-found", `Deployment "${args.name}" has no version ${version}.`);
    return row;
  };
  const shown = await versionNumbered(args.version);
  const since =
    args.since ??
    (await store.selectPrevious(deps.database.reads, {
      workspaceId,
      deploymentId: id,
      version: args.version,
    }));
  const before = since === null ? null : await versionNumbered(since);
  return {
    version: shownVersion(shown),
    since,
    spec: withoutValues({ ...shown.spec, parameters: signedParameters(shown.specJws) }),
    changes: before === null ? [] : specChanges(before.spec, shown.spec),
  };
}

/**
 * The signed spec of one version, byte for byte.
 * @throws Problem `deployment-not-found`, also if only the version is missing.
 */
export async function getSpec(
  deps: Pick<Deps, "database">,
  args: { scope: Scope; name: string; version: number },
): Promise<SignedVersion> {
  const { workspaceId } = args.scope;
  const id = await identityNamed(deps.database.reads, { workspaceId, name: args.name });
  const which = { workspaceId, deploymentId: id, version: args.version };
  const spec = await store.selectSigned(deps.database.reads, which);
  if (spec !== null) return { spec };
  throw new Problem("deployment-not-found", `Deployment "${args.name}" has no version ${args.version}.`);
}

/**
 * The version that a new run pins.
 * @throws Problem `deployment-not-found`, with the most similar name.
 */
export async function getLatestVersion(
  from: Queryable,
  args: { workspaceId: string; name: string },
): Promise<PinnedVersion> {
  const row = await store.selectLatestPinned(from, args);
  if (row === null) throw await deploymentNotFound(from, args);
  return row;
}

/**
 * Locks a deployment for its removal. No version, schedule or backfill of it can be created until the transaction ends.
 * @returns Its id, or null if it is removed already.
 * @throws Problem `deployment-not-found` if there was never one of this name.
 */
export async function lockForRemoval(
  tx: Tx,
  args: { workspaceId: string; name: string },
): Promise<string | null> {
  const locked = await store.lockExisting(tx, args);
  if (locked === null) throw await deploymentNotFound(tx, args);
  return locked.removed ? null : locked.id;
}

/** The first of these names that a deployment has. The last one if none has. */
export async function firstDeployment(
  from: Queryable,
  { workspaceId, names }: { workspaceId: string; names: readonly string[] },
): Promise<string> {
  const [last = ""] = names.slice(-1);
  if (names.length < 2) return last;
  const there = new Set(await store.selectExisting(from, { workspaceId, names }));
  return names.find((name) => there.has(name)) ?? last;
}

/**
 * The version that a run has pinned.
 * @throws Problem `deployment-not-found`.
 */
export async function getVersion(
  from: Queryable,
  args: { workspaceId: string; versionId: string },
): Promise<PinnedVersion> {
  const row = await store.selectPinned(from, args);
  if (row === null) throw new Problem("deployment-not-found", `There is no version ${args.versionId}.`);
  return row;
}

/** The most deployments whose latest version is cached. */
const DEPLOYMENTS_MAX = 1_000;

/** The cached versions, per database. Weak, so that it ends with the database. */
const knownOf = new WeakMap<Database, Map<string, PinnedVersion>>();

interface NamedDeployment {
  readonly workspaceId: string;
  readonly name: string;
}

const keyOf = (args: NamedDeployment) => `${args.workspaceId} ${args.name}`;

/**
 * The version that was a deployment's latest when it was last read. Versions never change, but another may be the
 * latest now. The statement that pins the version must check that, and on failure the caller must call `forgetLatest`.
 * @throws Problem `deployment-not-found`, as `getLatestVersion`.
 */
export async function likelyLatestVersion(database: Database, args: NamedDeployment): Promise<PinnedVersion> {
  const known = knownOf.get(database) ?? new Map<string, PinnedVersion>();
  knownOf.set(database, known);
  const found = known.get(keyOf(args));
  if (found !== undefined) return found;
  const read = await getLatestVersion(database.db, args);
  if (known.size >= DEPLOYMENTS_MAX) known.clear();
  known.set(keyOf(args), read);
  return read;
}

/** Makes the next call of `likelyLatestVersion` read the version again. */
export function forgetLatest(database: Database, args: NamedDeployment): void {
  knownOf.get(database)?.delete(keyOf(args));
}
