import type { LatestRuns, VersionTrust } from "@towpath/contract";
import { getVersionDetail } from "../../deployments/index.ts";
import type { Deps, Scope } from "../../kernel/index.ts";
import { selectUsual } from "../why/facts.ts";
import { selectLatestRuns, selectVersionRuns, type VersionRunRow } from "./by-deployment-store.ts";

const iso = (instant: Date | null) => instant?.toISOString() ?? null;

/** The latest runs of each of several deployments; those that have not run, or are not there, are missing. */
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
    })),
  }));
  return { items };
}

const shown = ({ runId, worker, at }: VersionRunRow) => ({ runId, worker, at });

/**
 * What workers have made of a version's signature, which they alone check: which was the first to start it, and the latest
 * refusal.
 * @throws Problem `deployment-not-found`, also when there is the deployment but not the version.
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
