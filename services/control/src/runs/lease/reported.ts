import type { Command } from "@towpath/contract";
import type { Deps, Tx } from "../../kernel/index.ts";
import { type FenceOf, sameFence } from "../moves/fence.ts";
import { lockAttempts, type Progress, saveProgress } from "../moves/locks.ts";
import type { AttemptRow } from "../table.ts";
import { findArchived, type Late, listCancelling, noteLate } from "./reports.ts";

/** An attempt that a report is about, locked. */
export interface ReportedAttempt {
  readonly row: AttemptRow;
  readonly archived: boolean;
}

/** Locks the attempts that a report names, in the order of their ids, archived ones too. Unknown ids are missing. */
export async function lockReported(
  tx: Tx,
  args: { workspaceId: string; attemptIds: readonly string[] },
): Promise<Map<string, ReportedAttempt>> {
  const live = await lockAttempts(tx, args);
  const found = new Map<string, ReportedAttempt>(live.map((row) => [row.id, { row, archived: false }]));
  const missing = args.attemptIds.filter((id) => !found.has(id));
  if (missing.length === 0) return found;
  for (const row of await findArchived(tx, { workspaceId: args.workspaceId, attemptIds: missing })) {
    found.set(row.id, { row, archived: true });
  }
  return found;
}

/**
 * Whether a fence is the attempt's current one, so that its records count. An attempt that ended without a report of
 * its worker (lost, or cancelled before a start) accepts nothing more: later records are late.
 */
export function isCurrent(row: AttemptRow, fence: FenceOf & { workerId: string }): boolean {
  if (row.nonce === null || row.workerId !== fence.workerId) return false;
  const same = sameFence({ attemptId: row.id, epoch: row.epoch, nonce: row.nonce }, fence);
  return same && (row.endedAt === null || row.lastBulkSeq !== null);
}

/** Stores how far reports have come, renews the leases of their attempts, and counts late reports. */
export async function saveReported(
  tx: Tx,
  deps: Deps,
  args: {
    workspaceId: string;
    progress: readonly (Progress & { archived: boolean })[];
    late: readonly (Late & { workerId: string })[];
  },
): Promise<void> {
  const { workspaceId } = args;
  const { leaseMs, claimLeaseMs } = deps.config;
  for (const archived of [false, true]) {
    await saveProgress(tx, deps.clock, {
      workspaceId,
      leaseMs,
      claimLeaseMs,
      table: archived ? "attempt_history" : "attempt",
      progress: args.progress.filter((one) => one.archived === archived),
    });
  }
  for (const late of args.late) await noteLate(tx, deps.clock, { ...late, workspaceId });
}

/** The commands for attempts that the worker reported on and must stop. */
export async function commandsFor(
  tx: Tx,
  args: { workspaceId: string; attempts: readonly AttemptRow[] },
): Promise<Command[]> {
  const attemptIds = args.attempts.filter((row) => row.state === "cancelling").map((row) => row.id);
  if (attemptIds.length === 0) return [];
  const found = await listCancelling(tx, { workspaceId: args.workspaceId, attemptIds });
  return found.map((row) => ({ kind: "cancel", ...row }));
}
