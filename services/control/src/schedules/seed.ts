import type { Deployment } from "@towpath/contract";
import { addVersion, getDeployment, type Registered } from "../deployments/index.ts";
import { type Deps, inTransaction, keepQuota, type Scope, type Tx } from "../kernel/index.ts";
import { checkFloor, seedLimits } from "../runs/index.ts";
import { announce } from "./announce.ts";
import { skipRest } from "./end-rule.ts";
import { changeSettings, newSchedule } from "./schedules.ts";
import * as store from "./store.ts";
import { schedule } from "./table.ts";

/**
 * Applies the schedules of a deployment's new version. Those that a person has set stay. Those that only an earlier
 * version named are deleted.
 * @throws Problem `invalid-schedule`: the version is then not registered.
 */
export async function seedSchedules(tx: Tx, deps: Deps, registered: Registered): Promise<void> {
  const { workspaceId, deploymentId, name: deployment, spec } = registered;
  const there = await store.lockSchedulesOf(tx, { workspaceId, deploymentId });
  if (spec.schedules.length === 0 && there.length === 0) return;
  const nowMs = await store.readNowMs(tx, deps.clock);
  const byName = new Map(there.map((row) => [row.name, row]));
  for (const settings of spec.schedules) {
    const wanted = {
      workspaceId,
      deploymentId,
      deployment,
      settings,
      source: "code" as const,
    };
    const row = byName.get(settings.name);
    if (row?.source === "person") continue;
    if (row) await changeSettings(tx, deps, { row, wanted, nowMs });
    else {
      await store.insertSchedule(tx, newSchedule(deps, wanted, nowMs));
      await keepQuota(tx, deps, { quota: "schedules", workspaceId, table: schedule });
    }
  }
  const wanted = new Set(spec.schedules.map((one) => one.name));
  const gone = there.filter((row) => row.source === "code" && !wanted.has(row.name));
  for (const row of gone) await skipRest(tx, { row, nowMs, reason: "paused" });
  await store.deleteSchedules(tx, { workspaceId, ids: gone.map((row) => row.id) });
  await announce(tx, { workspaceId, id: deploymentId });
}

/**
 * Registers a version with its limits and schedules, all or none. Registering the same signed spec again changes nothing
 * and returns the deployment.
 * @param args.keepRuns Refuses a version whose floor would stop runs that have not ended.
 * @throws as `addVersion` of deployments, and those of the seeds; `runs-below-floor`.
 */
export function registerVersion(
  deps: Deps,
  args: { scope: Scope; jws: string; keepRuns?: boolean | undefined },
): Promise<Deployment> {
  return inTransaction(deps, async (tx) => {
    const registered = await addVersion(tx, deps, args);
    if (registered.isNew) {
      if (args.keepRuns === true) await checkFloor(tx, registered);
      await seedLimits(tx, deps, registered);
      await seedSchedules(tx, deps, registered);
    }
    return getDeployment(tx, { workspaceId: registered.workspaceId, name: registered.name });
  });
}
