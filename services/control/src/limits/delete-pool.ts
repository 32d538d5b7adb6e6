import { Problem } from "@towpath/contract";
import { deploymentsOfPool, type PoolUser } from "../deployments/index.ts";
import { type Deps, inTransaction, type Scope, writeChanges } from "../kernel/index.ts";
import { countWorkers, deleteIdleWorkers, lockPoolToDelete, removePool } from "../pools/index.ts";
import { announce } from "./limits.ts";
import { deleteLimitRow, selectLimitsOfPool } from "./store/limits.ts";
import { lockWaitLists, markWaitLists } from "./store/wait-lists.ts";

/** The most deployments that a refusal names. */
const NAMED_MAX = 5;

/** The deployments that keep a pool, and the way out. */
function deploymentsText(all: readonly PoolUser[]): string[] {
  const named = all.slice(0, NAMED_MAX);
  const rest = all.length > NAMED_MAX ? ", and others" : "";
  const there = named.filter(({ isRemoved }) => !isRemoved).map(({ name }) => name);
  const removed = named.filter(({ isRemoved }) => isRemoved).map(({ name }) => name);
  if (named.length === 0) return [];
  return [
    ...(there.length === 0
      ? []
      : [
          `Versions of these deployments name it: ${there.join(", ")}${rest}.`,
          "Deploy them to another pool.",
        ]),
    ...(removed.length === 0
      ? []
      : [
          `These removed deployments keep their latest version, which names it: ${removed.join(", ")}${rest}.`,
          "Deploy them to another pool, and remove them again.",
        ]),
    "Replaced versions are deleted with the history of their runs (TOWPATH_HISTORY_RETENTION_MS).",
  ];
}

function refusal(name: string, used: { deployments: readonly PoolUser[]; workers: number }): Problem {
  const workers =
    used.workers === 1
      ? "1 worker is online there or has attempts"
      : `${used.workers} workers are online there or have attempts`;
  const uses = [
    ...deploymentsText(used.deployments),
    ...(used.workers === 0
      ? []
      : [
          `${workers}.`,
          "Stop the workers, and try again. A worker that was killed counts as online for a minute.",
        ]),
  ];
  return new Problem("pool-in-use", `Pool "${name}" cannot be removed. ${uses.join(" ")}`);
}

/**
 * Removes a pool with its queues and limits, and with the workers that have left it. No run can wait there: each run belongs to a version, and no version names
 * the pool. A repeated call changes nothing.
 * @throws Problem `pool-in-use` if a version of a deployment names the pool, or a worker is online there or has
 * attempts.
 */
export async function deletePool(deps: Deps, args: { scope: Scope; name: string }): Promise<void> {
  const { workspaceId } = args.scope;
  await inTransaction(deps, async (tx) => {
    const pool = await lockPoolToDelete(tx, { workspaceId, name: args.name });
    if (pool === null) return;
    const deployments = await deploymentsOfPool(tx, { workspaceId, pool, limit: NAMED_MAX + 1 });
    await deleteIdleWorkers(tx, { workspaceId, poolId: pool.id, clock: deps.clock });
    const workers = await countWorkers(tx, { workspaceId, poolId: pool.id });
    if (deployments.length > 0 || workers > 0) throw refusal(pool.name, { deployments, workers });
    await lockWaitLists(tx, workspaceId);
    for (const limit of await selectLimitsOfPool(tx, { workspaceId, pool: pool.name })) {
      await markWaitLists(tx, deps.clock, { workspaceId, limitId: limit.id });
      await deleteLimitRow(tx, limit);
      await announce(tx, limit);
    }
    await removePool(tx, { workspaceId, poolId: pool.id });
    await writeChanges(tx, [{ workspaceId, kind: "pool", entityId: pool.id }]);
  });
}
