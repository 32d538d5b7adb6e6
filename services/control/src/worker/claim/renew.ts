import type { Fence, Renewed } from "@towpath/contract";
import type { Deps, WorkerScope } from "../../kernel/index.ts";
import { renewHeld } from "../../runs/index.ts";
import { heldCommands } from "./commands.ts";

/**
 * Renews all leases of a worker. A stale fence is answered `gone`: its attempt has ended, or belongs to another claim.
 */
export async function renew(
  deps: Deps,
  worker: WorkerScope,
  request: { held: readonly Fence[] },
): Promise<Renewed> {
  const { leaseMs, claimLeaseMs, renewIntervalMs } = deps.config;
  const { workspaceId, workerId } = worker;
  const renewed = await renewHeld(deps, { workspaceId, workerId, fences: request.held });
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
