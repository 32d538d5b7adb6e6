import { sameFence } from "@towpath/contract";
import {
  type Deps,
  graceMs,
  incarnationOf,
  inTransaction,
  type Tx,
  type WorkerScope,
} from "../../kernel/index.ts";
import { endUnstarted } from "../end/end.ts";
import { lockAttempts } from "../moves/locks.ts";
import { loseAttempt } from "./lose.ts";
import type { HeldAttempt } from "./store.ts";

/** The incarnation of the database that a polling worker has reported its attempts to again. */
export interface Reconciling {
  readonly reconciled?: string | null | undefined;
}

/**
 * Whether an attempt that is missing in a poll can be disowned. After the database went back, a worker may have ended
 * the attempt and forgotten it after the acknowledgement. So its silence counts only after it has reported everything
 * to this database again. A worker of an earlier release cannot say so, and gets a full grace.
 */
async function mayDisown(tx: Tx, deps: Deps, { reconciled }: Reconciling): Promise<boolean> {
  const incarnation = await incarnationOf(tx, deps.clock);
  if (incarnation === null) return false;
  if (reconciled !== undefined) return reconciled === incarnation.id;
  return incarnation.ageMs === null || incarnation.ageMs > graceMs(deps.config);
}

/** Ends attempts that their worker no longer lists. Started ones are lost. @returns Whether it could be decided. */
export async function disown(
  deps: Deps,
  worker: WorkerScope,
  { poll, missing }: { poll: Reconciling; missing: readonly HeldAttempt[] },
): Promise<boolean> {
  if (missing.length === 0) return true;
  return await inTransaction(deps, async (tx) => {
    if (!(await mayDisown(tx, deps, poll))) return false;
    const locked = await lockAttempts(tx, {
      workspaceId: worker.workspaceId,
      attemptIds: missing.map((row) => row.attemptId),
    });
    for (const row of locked) {
      // The fence may have changed while this waited for the lock.
      const fence = { attemptId: row.id, epoch: row.epoch, nonce: row.nonce ?? "" };
      const still = row.leaseExpiresAt !== null && missing.some((one) => sameFence(one, fence));
      if (still && row.startedAt === null) await endUnstarted(tx, deps, row);
      else if (still) await loseAttempt(tx, deps, row);
    }
    return true;
  });
}
