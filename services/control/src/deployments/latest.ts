import type { Database } from "../kernel/index.ts";
import { getLatestVersion, type PinnedVersion } from "./deployments.ts";

/** The most deployments of an installation whose version is remembered. */
const DEPLOYMENTS_MAX = 1_000;

/** What was read, per database. Weak, so that it ends with it. */
const knownOf = new WeakMap<Database, Map<string, PinnedVersion>>();

interface DeploymentName {
  readonly workspaceId: string;
  readonly name: string;
}

const keyOf = (args: DeploymentName) => `${args.workspaceId} ${args.name}`;

/**
 * The version that was a deployment's latest when it was last read. Versions never change, only which one is the latest:
 * a caller that pins it must check this in the same statement, and call `forgetLatest` if it has changed.
 * @throws Problem `deployment-not-found`, as `getLatestVersion`.
 */
export async function likelyLatestVersion(database: Database, args: DeploymentName): Promise<PinnedVersion> {
  const known = knownOf.get(database) ?? new Map<string, PinnedVersion>();
  knownOf.set(database, known);
  const found = known.get(keyOf(args));
  if (found !== undefined) return found;
  const read = await getLatestVersion(database.db, args);
  if (known.size >= DEPLOYMENTS_MAX) known.clear();
  known.set(keyOf(args), read);
  return read;
}

/** Makes the next call of `likelyLatestVersion` read anew. */
export function forgetLatest(database: Database, args: DeploymentName): void {
  knownOf.get(database)?.delete(keyOf(args));
}
