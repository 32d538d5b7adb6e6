import { type Deps, type Tx, type WorkerScope, wentBackAt } from "../../kernel/index.ts";
import { moveRun } from "../moves/apply.ts";
import { takeBackAttempt } from "../moves/claim.ts";
import type { FenceOf } from "../moves/fence.ts";
import type { AttemptRow } from "../table.ts";
import { NONCE } from "./renew.ts";

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
  if (held.state === "ready")
    await moveRun(tx, deps.clock, { workspaceId: held.workspaceId, id: held.runId, by: "claim" });
  const { claimLeaseMs } = deps.config;
  return await takeBackAttempt(tx, deps.clock, { held, worker, fence, claimLeaseMs });
}
