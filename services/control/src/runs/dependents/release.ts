import { type Deps, DUE, type Tx, wakeAfterCommit, writeChanges } from "../../kernel/index.ts";
import type { MovedRun } from "../moves/apply.ts";
import { cancelWaits, noteEnds } from "../waits/store.ts";
import { waitChanges } from "../waits/wire.ts";
import { noteOrphans } from "./children.ts";
import { closeOpenJobs } from "./close-jobs.ts";

/**
 * What the end of runs means to others: their own open waits are over, runs that wait for them are due, and children that
 * end with them are to be cancelled, as are their external jobs. Costs runs that
 * nobody waits for and that wait for nothing no statement. The caller holds the locks of the runs, which are of one
 * workspace.
 */
export async function releaseDependents(tx: Tx, deps: Deps, ended: readonly MovedRun[]): Promise<void> {
  const marked = ended.filter((row) => row.hasDependents);
  const [first] = marked;
  if (first === undefined) return;
  const a = { workspaceId: first.workspaceId, runIds: marked.map((row) => row.id) };
  await writeChanges(tx, waitChanges(await cancelWaits(tx, deps.clock, a)));
  await closeOpenJobs(tx, deps, a);
  const awaited = await noteEnds(tx, deps.clock, a);
  if ((await noteOrphans(tx, deps.clock, a)) || awaited) wakeAfterCommit(tx, "change", DUE);
}
