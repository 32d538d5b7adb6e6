import { uuidv7 } from "@towpath/contract";
import type { OnRegistered, Registered } from "../deployments/index.ts";
import type { Deps, Tx } from "../kernel/index.ts";
import { type AdoptRuns, announce, namedLimits, writeLimit } from "./limits.ts";
import { deleteLimitRow, hasUses, saveUses, selectLimit } from "./store/limits.ts";
import { lockWaitLists, refreshWaitLists } from "./store/wait-lists.ts";

/**
 * Applies the limits of a deployment's new version: its concurrency, unless a person has set it, and its named limits.
 * @throws Problem `limit-not-found`: the version is then not registered.
 */
export function seedLimits(adopt: AdoptRuns): OnRegistered {
  return (tx, deps, registered) => seed(tx, deps, { registered, adopt });
}

async function seed(tx: Tx, deps: Deps, args: { registered: Registered; adopt: AdoptRuns }): Promise<void> {
  const { registered } = args;
  const { workspaceId, deploymentId, spec } = registered;
  const named = { workspaceId, kind: "deployment" as const, name: spec.deployment };
  const there = await selectLimit(tx, named);
  const used = spec.limits.length > 0 || (await hasUses(tx, { workspaceId, deploymentId }));
  if (spec.concurrency === null && there === null && !used) return;
  await lockWaitLists(tx, workspaceId);
  const limits = await namedLimits(tx, { workspaceId, names: spec.limits.map((use) => use.name) });
  if (there?.source !== "person") {
    if (spec.concurrency !== null) {
      const { limit: slots, collision } = spec.concurrency;
      const id = uuidv7(deps.clock.nowMs());
      await writeLimit(tx, deps, { ...named, id, slots, perMs: null, collision, source: "code" }, args.adopt);
    } else if (there !== null) {
      await deleteLimitRow(tx, there);
    }
  }
  const uses = spec.limits.map(({ name, slots }) => ({ limitId: limits.get(name) ?? "", amount: slots }));
  await saveUses(tx, { workspaceId, deploymentId, uses });
  await refreshWaitLists(tx, deps.clock, { workspaceId, which: { deployment: spec.deployment } });
  await announce(tx, { workspaceId, id: deploymentId });
}
