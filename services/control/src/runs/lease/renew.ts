import type { Renewed } from "@towpath/contract";
import { type Deps, inTransaction, type WorkerScope } from "../../kernel/index.ts";
import { heldCommands } from "../claim/commands.ts";
import { type FenceOf, renewLeases } from "../store/leases.ts";

/** What nonces of ours look like. Others fence nothing, and may hold what the database cannot. */
export const NONCE = /^[0-9a-f-]{36}$/;

/**
 * Renews all leases of a worker. A fence that is not the current one is answered `gone`: its attempt has ended, or was
 * given to another claim.
 */
export async function renew(
  deps: Deps,
  worker: WorkerScope,
  request: { held: readonly FenceOf[] },
): Promise<Renewed> {
  const { leaseMs, claimLeaseMs, renewIntervalMs } = deps.config;
  const { workspaceId, workerId } = worker;
  const fences = request.held.filter((fence) => NONCE.test(fence.nonce));
  const renewed =
    fences.length === 0
      ? []
      : await inTransaction(deps, (tx) =>
          renewLeases(tx, deps.clock, { workspaceId, workerId, fences, leaseMs, claimLeaseMs }),
        );
  const byId = new Map(renewed.map((row) => [row.attemptId, row]));
  return {
    leases: request.held.map(({ attemptId, epoch, nonce }) => {
      const row = byId.get(attemptId);
      if (row === undefined || row.epoch !== epoch || row.nonce !== nonce) {
        return { attemptId, status: "gone", reason: "The attempt has ended, or belongs to another claim." };
      }
      return { attemptId, status: "renewed", leaseMs: row.state === "claimed" ? claimLeaseMs : leaseMs };
    }),
    commands: heldCommands(renewed),
    intervalMs: renewIntervalMs,
  };
}
