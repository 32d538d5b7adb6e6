import { type Deps, DUE, type Tx, wakeAfterCommit, writeChanges } from "../../kernel/index.ts";
import type { MovedRun } from "../moves/apply.ts";
import { cancelWaits, closeJobs, keptOpen, noteEnds, noteOrphans, waitChanges } from "./store.ts";

/**
 * Applies the end of runs to their dependents: their own open waits are cancelled, runs that wait for them become due,
 * and children that end with them are to be cancelled, as are their external jobs. Costs no statement for runs without
 * dependents and waits. The caller holds the locks of the runs, which are of one workspace.
 */
export async function releaseDependents(tx: Tx, deps: Deps, ended: readonly MovedRun[]): Promise<void> {
  const marked = ended.filter((row) => row.hasDependents);
  const [first] = marked;
  if (first === undefined) return;
  const a = { workspaceId: first.workspaceId, runIds: marked.map((row) => row.id) };
  await closeWaits(tx, deps, a);
  await closeOpenJobs(tx, deps, a);
  const awaited = await noteEnds(tx, deps.clock, a);
  if ((await noteOrphans(tx, deps.clock, a)) || awaited) wakeAfterCommit(tx, "change", DUE);
}

/** Cancels the open waits of runs in which nothing waits for them any more. The caller holds the locks of the runs. */
export async function closeWaits(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<void> {
  await writeChanges(tx, waitChanges(await cancelWaits(tx, deps.clock, args)));
}

/** Which jobs: those of runs, or those with these ids. */
type Closing = { readonly workspaceId: string } & (
  | { readonly runIds: readonly string[] }
  | { readonly jobIds: readonly string[] }
);

/**
 * Requests the cancellation of external jobs that no run waits for, if they can be cancelled, and notifies the workers
 * that tend them. The caller holds the locks of their runs.
 */
export async function closeOpenJobs(tx: Tx, deps: Deps, args: Closing): Promise<void> {
  const closed = await closeJobs(tx, deps.clock, args);
  const pools = closed.filter((row) => row.state === "cancelling").map((row) => row.poolId);
  for (const poolId of new Set(pools)) wakeAfterCommit(tx, "job", poolId);
}

/**
 * Closes the jobs of runs that are to be cancelled.
 * @returns the runs that have a job which must be cancelled first
 */
export async function cancelJobs(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<Set<string>> {
  if (args.runIds.length === 0) return new Set();
  await closeOpenJobs(tx, deps, args);
  return keptOpen(tx, args);
}
