import { uuidv7 } from "@towpath/contract";
import type { Registered } from "../deployments/index.ts";
import type { Deps, Tx } from "../kernel/index.ts";
import { announce, namedLimits, type WrittenLimit, writeLimit } from "./limits.ts";
import { deleteLimitRow, hasUses, saveUses, selectLimit } from "./store/limits.ts";
import { lockWaitLists, refreshWaitLists } from "./store/wait-lists.ts";

/**
 * Applies the limits of a deployment's new version: its concurrency, unless a person has set it, and its named limits.
 * @returns the limit of its concurrency, if it was written.
 * @throws Problem `limit-not-found`: the version is then not registered.
 */
export async function seedLimits(tx: Tx, deps: Deps, registered: Registered): Promise<WrittenLimit | null> {
  const { workspaceId, deploymentId, name: deployment, spec } = registered;
  const named = { workspaceId, kind: "deployment" as const, name: deployment };
  const there = await selectLimit(tx, named);
  const used = spec.limits.length > 0 || (await hasUses(tx, { workspaceId, deploymentId }));
  if (spec.concurrency === null && there === null && !used) return null;
  await lockWaitLists(tx, workspaceId);
  const limits = await namedLimits(tx, { workspaceId, names: spec.limits.map((use) => use.name) });
  let written: WrittenLimit | null = null;
  if (there?.source !== "person") {
    if (spec.concurrency !== null) {
      const { limit: slots, collision } = spec.concurrency;
      const id = uuidv7(deps.clock.nowMs());
      written = await writeLimit(tx, deps, { ...named, id, slots, perMs: null, collision, source: "code" });
    } else if (there !== null) {
      await deleteLimitRow(tx, there);
    }
  }
  const uses = spec.limits.map(({ name, slots }) => ({ limitId: limits.get(name) ?? "", amount: slots }));
  await saveUses(tx, { workspaceId, deploymentId, uses });
  await refreshWaitLists(tx, deps.clock, { workspaceId, which: { deployment } });
  await announce(tx, { workspaceId, id: deploymentId });
  return written;
}

/** Deletes the limit of a deployment that is removed, and its use of named limits. */
export async function removeLimits(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; deploymentId: string; name: string },
): Promise<void> {
  const { workspaceId, deploymentId, name } = args;
  await lockWaitLists(tx, workspaceId);
  const there = await selectLimit(tx, { workspaceId, kind: "deployment", name });
  if (there !== null) await deleteLimitRow(tx, there);
  await saveUses(tx, { workspaceId, deploymentId, uses: [] });
  await refreshWaitLists(tx, deps.clock, { workspaceId, which: { deployment: name } });
  await announce(tx, { workspaceId, id: deploymentId });
}
