import { type Deps, type Tx, type WorkerScope, wentBackAt } from "../../kernel/index.ts";
import { moveRun } from "../moves/apply.ts";
import { takeBackAttempt } from "../moves/claim.ts";
import type { FenceOf } from "../moves/fence.ts";
import type { AttemptRow } from "../table.ts";
import { NONCE } from "./renew.ts";

/** The most claims of one attempt that a database may have forgotten. It limits the epoch that a worker can set. */
const FORGOTTEN_MAX = 1_000;

/**
 * Returns an attempt to the worker that holds it, if the database went back and forgot the claim. The offered claim
 * must be newer than any stored one, and no older one may have started. So no other worker executes the attempt a
 * second time. Any worker that may claim from the pool may do this. The caller holds the attempt's lock.
 * @returns The attempt after the change, or null if it cannot be taken back.
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
