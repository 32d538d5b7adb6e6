import { type Deps, flushChanges, type Tx, type WorkerScope, wentBackAt } from "../../kernel/index.ts";
import { transitionRun } from "../moves/state.ts";
import { takeBackAttempt } from "../moves/take-back.ts";
import type { AttemptRow } from "../table.ts";
import { NONCE } from "./renew.ts";
import type { FenceOf } from "./store.ts";

/** How many claims of one attempt a database may have forgotten: a worker must not bring the epoch to where no claim can count on. */
const FORGOTTEN_MAX = 1_000;

/**
 * Gives an attempt back to the worker that holds it, where the database has gone back and forgotten that it had given it: the claim that the
 * worker offers is newer than any that is stored, and nothing of an older one was started. So no other worker executes it a second
 * time. Who may claim from the pool may do this, too. The caller holds the attempt's lock.
 * @returns The attempt as it is now, or null if it is nobody's to take back.
 */
export async function takeBack(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; worker: WorkerScope; fence: FenceOf },
): Promise<AttemptRow | null> {
  const { held, worker, fence } = args;
  const isOpen = held.startedAt === null && (held.state === "ready" || held.state === "claimed");
  if (!isOpen || held.poolId !== worker.poolId || !NONCE.test(fence.nonce)) return null;
  if (fence.epoch <= held.epoch || fence.epoch > held.epoch + FORGOTTEN_MAX) return null;
  const wentBack = await wentBackAt(tx);
  if (wentBack === null || held.createdAt >= wentBack) return null;
  if (held.state === "ready") {
    await transitionRun(tx, { workspaceId: held.workspaceId, runId: held.runId, by: "claim" });
    // A start in the same report writes its changes by itself, which must come after this.
    await flushChanges(tx);
  }
  const { claimLeaseMs } = deps.config;
  return await takeBackAttempt(tx, deps.clock, { held, worker, fence, claimLeaseMs });
}
