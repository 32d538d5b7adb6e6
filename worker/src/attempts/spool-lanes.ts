import type { Fence } from "@towpath/contract";
import { makeJournalDir, ownerText, readRunId, writeOwner } from "./journal-owner.ts";
import { type LaneDeps, openLanes } from "./open-lanes.ts";
import { type Preallocation, placeJournal } from "./preallocation.ts";

/** What opening a spool needs. */
export interface SpoolDeps extends LaneDeps {
  readonly preallocation?: Pick<Preallocation, "journal">;
}

/** Where a claim's journal lies, and whose it is. */
type Place = { readonly dir: string; readonly fence: Fence; readonly runId?: string | undefined };

/** Lanes that were made before there was a claim. Null: there are none, or the claim has a journal already. */
async function preallocatedLanes(deps: SpoolDeps, { dir, fence, runId }: Place) {
  // Only of a new claim is it known for which run it is.
  const preallocated = runId === undefined ? null : deps.preallocation?.journal();
  const isPlaced =
    preallocated && (await placeJournal(preallocated, { to: dir, owner: ownerText({ fence, runId }) }));
  return isPlaced ? preallocated.lanes : null;
}

async function lanesOf(deps: LaneDeps, args: Place) {
  const { dir, fence } = args;
  const isNew = await makeJournalDir(args);
  const runId = args.runId ?? (isNew ? undefined : ((await readRunId(dir)) ?? undefined));
  // Files of their own, so all at once: this stands between a claim and the start of its flow.
  return await openLanes(deps, { dir, isNew, meanwhile: () => writeOwner(dir, { fence, runId }) });
}

/** The two lanes of a claim's journal: made ahead, new, or those that an earlier process of this worker left. */
export async function openSpoolLanes(deps: SpoolDeps, args: Place) {
  return (await preallocatedLanes(deps, args)) ?? (await lanesOf(deps, args));
}
