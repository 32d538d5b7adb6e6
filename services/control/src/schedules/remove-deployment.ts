import { Problem } from "@towpath/contract";
import { forgetLatest, lockForRemoval, markRemoved } from "../deployments/index.ts";
import { type Deps, inTransaction, type Scope, type Tx, writeChanges } from "../kernel/index.ts";
import { removeLimits } from "../limits/index.ts";
import { countOpenRuns } from "../runs/index.ts";
import { announce } from "./announce.ts";
import { selectRunningOf } from "./backfills/store.ts";
import { skipRest } from "./end-rule.ts";
import * as store from "./store.ts";

/** A locked deployment that is to be removed. */
interface Removed {
  readonly workspaceId: string;
  readonly deploymentId: string;
  readonly name: string;
}

/**
 * Removes a deployment: its schedules, its limit and its use of named limits are deleted, and no new run can be created.
 * Its versions and runs stay until their retention ends. The row stays, so that the next version continues the numbers. A
 * run whose creation commits at the same moment runs to its end. Repeating it changes nothing.
 * @throws Problem `deployment-not-found` if there was never one of this name; `deployment-in-use` while a run or backfill of
 * it is open.
 */
export async function deleteDeployment(deps: Deps, args: { scope: Scope; name: string }): Promise<void> {
  const { workspaceId } = args.scope;
  const which = { workspaceId, name: args.name };
  await inTransaction(deps, async (tx) => {
    const deploymentId = await lockForRemoval(tx, which);
    if (deploymentId === null) return;
    const removed = { ...which, deploymentId };
    // The lock of the schedules comes first: from here on they create no run.
    const schedules = await store.lockSchedulesOf(tx, removed);
    await refuseInUse(tx, removed);
    await removeLimits(tx, deps, removed);
    await removeSchedules(tx, deps, { removed, schedules });
    await markRemoved(tx, { workspaceId, id: deploymentId, by: args.scope.actor.name });
    await writeChanges(tx, [{ workspaceId, kind: "deployment", entityId: deploymentId }]);
  });
  forgetLatest(deps.database, which);
}

/** @throws Problem `deployment-in-use`. */
async function refuseInUse(tx: Tx, { workspaceId, deploymentId, name }: Removed): Promise<void> {
  const open = await countOpenRuns(tx, { workspaceId, deploymentId });
  if (open !== null)
    throw new Problem(
      "deployment-in-use",
      `${open.count === 1 ? "A run" : `${open.count} runs`} of "${name}" ${open.count === 1 ? "has" : "have"} not ended, such as ${open.runId} (${open.state}). Wait for the end, or cancel with \`towpath runs cancel --deployment ${name}\`.`,
    );
  const backfill = await selectRunningOf(tx, { workspaceId, deployment: name });
  if (backfill !== null)
    throw new Problem(
      "deployment-in-use",
      `Backfill ${backfill.id} of "${name}" is running. Cancel it first: \`towpath backfill cancel ${backfill.id}\`.`,
    );
}

/** Deletes schedules as `deleteSchedule` does. */
async function removeSchedules(
  tx: Tx,
  deps: Deps,
  { removed, schedules }: { removed: Removed; schedules: readonly store.ScheduleRow[] },
): Promise<void> {
  if (schedules.length === 0) return;
  const { workspaceId } = removed;
  const nowMs = await store.readNowMs(tx, deps.clock);
  for (const row of schedules) await skipRest(tx, { row, nowMs, reason: "paused" });
  await store.deleteSchedules(tx, { workspaceId, ids: schedules.map(({ id }) => id) });
  await announce(tx, ...schedules);
}
