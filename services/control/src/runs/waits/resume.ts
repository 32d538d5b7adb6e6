import { WAIT_TRANSITIONS, type WaitState } from "@towpath/contract";
import { type Deps, type Tx, wakeWorkerAfterCommit, writeChanges } from "../../kernel/index.ts";
import { beginAttempts } from "../admit/admission.ts";
import { closeOpenJobs } from "../dependents/release.ts";
import { waitChanges } from "../dependents/store.ts";
import type { WaitRow } from "../table.ts";
import { lockWaiting, settleRows, type WaitingRun } from "./store.ts";

/** Waits that are over, of runs of one workspace. */
interface Over {
  readonly workspaceId: string;
  readonly waits: readonly {
    readonly id: string;
    readonly runId: string;
    readonly by: "satisfy" | "expire";
  }[];
}

/**
 * Settles waits and lets their runs continue: suspended runs become ready, or block for their slots; running flows hear
 * of it through their workers. Takes the locks of the runs, in the order of their ids, before those of the waits. Of
 * racing callers one settles a wait.
 * @returns the waits that this call has settled
 */
export async function settleWaits(tx: Tx, deps: Deps, args: Over): Promise<WaitRow[]> {
  const { workspaceId } = args;
  const runs = await lockWaiting(tx, {
    workspaceId,
    runIds: [...new Set(args.waits.map((one) => one.runId))],
  });
  const settled: WaitRow[] = [];
  for (const [to, group] of Map.groupBy(args.waits, ({ by }): WaitState => WAIT_TRANSITIONS[by].to[0])) {
    const waitIds = group.map((one) => one.id);
    settled.push(...(await settleRows(tx, deps.clock, { workspaceId, waitIds, to })));
  }
  const expired = settled.filter((one) => one.kind === "job" && one.state === "expired");
  if (expired.length > 0)
    await closeOpenJobs(tx, deps, { workspaceId, jobIds: expired.map((one) => one.id) });
  await writeChanges(tx, waitChanges(settled));
  const moved = new Set(settled.map((one) => one.runId));
  await goOn(
    tx,
    deps,
    runs.filter((one) => moved.has(one.id)),
  );
  return settled;
}

/** Lets runs continue whose waits have settled. The caller holds their locks. */
async function goOn(tx: Tx, deps: Deps, runs: readonly WaitingRun[]): Promise<void> {
  for (const one of runs) wakeWorkerAfterCommit(tx, one.workerId);
  const [first] = runs;
  if (first === undefined) return;
  await beginAttempts(tx, deps, {
    workspaceId: first.workspaceId,
    by: "resume",
    runs: runs.filter((one) => one.state === "suspended"),
  });
}
