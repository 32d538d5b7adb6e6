import { type Deps, type Tx, wakeAfterCommit } from "../../kernel/index.ts";
import { closeJobs, keptOpen } from "../jobs/store.ts";

/** What jobs are meant: those of runs, or those with these ids. */
type Closing = { readonly workspaceId: string } & (
  | { readonly runIds: readonly string[] }
  | { readonly jobIds: readonly string[] }
);

/**
 * Has external jobs cancelled that nobody waits for any more, where they can be; the workers that tend them are told. The
 * caller holds the locks of their runs.
 */
export async function closeOpenJobs(tx: Tx, deps: Deps, args: Closing): Promise<void> {
  const closed = await closeJobs(tx, deps.clock, args);
  const pools = closed.filter((row) => row.state === "cancelling").map((row) => row.poolId);
  for (const poolId of new Set(pools)) wakeAfterCommit(tx, "job", poolId);
}

/**
 * Closes the jobs of runs that are to be cancelled.
 * @returns the runs that have one which is to be cancelled first
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
