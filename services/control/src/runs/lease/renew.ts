import type { Fence } from "@towpath/contract";
import { type Deps, inTransaction } from "../../kernel/index.ts";
import { type HeldAttempt, renewLeases } from "./store.ts";

/** The form of our nonces. Other nonces match no claim, and may contain text that the database refuses. */
export const NONCE = /^[0-9a-f-]{36}$/;

/** Renews those leases of a worker whose fence is the current one. @returns their attempts. */
export async function renewHeld(
  deps: Deps,
  args: { workspaceId: string; workerId: string; fences: readonly Fence[] },
): Promise<HeldAttempt[]> {
  const { leaseMs, claimLeaseMs } = deps.config;
  const fences = args.fences.filter(({ nonce }) => NONCE.test(nonce));
  if (fences.length === 0) return [];
  return inTransaction(deps, (tx) => renewLeases(tx, deps.clock, { ...args, fences, leaseMs, claimLeaseMs }));
}
