import { type Command, type Fence, sameFence } from "@towpath/contract";
import { cleanJson, type Deps, type Tx, type WorkerScope, wentBackAt } from "../../kernel/index.ts";
import { NONCE } from "../lease/renew.ts";
import { noteRestore } from "../lease/restore-notice.ts";
import { moveRun } from "../moves/apply.ts";
import { takeBackAttempt } from "../moves/claim.ts";
import { lockAttempts, type Progress, saveProgress } from "../moves/locks.ts";
import type { AttemptRow } from "../table.ts";
import { applyControls, type Refused, type ReportedRecord } from "./control.ts";
import { findArchived, type Late, listCancelling, noteLate } from "./store.ts";

/** The most claims of one attempt that a database may have forgotten. It limits the epoch that a worker can set. */
const FORGOTTEN_MAX = 1_000;

/** For how long after a restore unknown attempts are reported, milliseconds. Workers offer the records of the last hour. */
const REPORT_UNKNOWN_MS = 2 * 3_600_000;

/** A worker's report of one attempt. */
export interface AttemptReport extends Fence {
  /** All of its records. */
  readonly records: readonly { readonly [key: string]: unknown }[];
  /** The positions that were acknowledged to the worker. Present when it offers records again. */
  readonly acked?: { readonly control: number; readonly bulk: number } | undefined;
}

/** The next records of an attempt, and how far its lanes have come with them. */
export interface NextRecords {
  readonly held: AttemptRow;
  readonly control: readonly ReportedRecord[];
  readonly controlAcked: number;
  readonly bulkAcked: number;
  readonly nextLine: number;
}

/** The result of an attempt's next records. */
export interface Applied {
  /** The attempt after them. */
  readonly row: AttemptRow;
  readonly refused: readonly Refused[];
}

/** An attempt that a report is about, locked. */
interface Reported {
  readonly row: AttemptRow;
  readonly archived: boolean;
}

/**
 * The attempts that reports of one transaction are about. It decides which records count, applies them, and stores in the end
 * how far the reports have come.
 */
export class ReportedAttempts {
  readonly #tx: Tx;
  readonly #deps: Deps;
  readonly #workspaceId: string;
  readonly #known: Map<string, Reported>;
  /** By attempt: the latest counts. */
  readonly #progress = new Map<string, Progress & { archived: boolean }>();
  readonly #late: (Late & { workerId: string })[] = [];
  /** Attempts that a worker knows and a restored database does not. */
  readonly #unknown = new Set<string>();
  /** How many attempts have records that a worker knows and the database has lost. */
  #offered = 0;

  private constructor(tx: Tx, deps: Deps, args: { workspaceId: string; known: Map<string, Reported> }) {
    this.#tx = tx;
    this.#deps = deps;
    this.#workspaceId = args.workspaceId;
    this.#known = args.known;
  }

  /** Locks the attempts that reports name, in the order of their ids, archived ones too. */
  static async lock(
    tx: Tx,
    deps: Deps,
    args: { workspaceId: string; attemptIds: readonly string[] },
  ): Promise<ReportedAttempts> {
    const { workspaceId, attemptIds } = args;
    const live = await lockAttempts(tx, args);
    const known = new Map<string, Reported>(live.map((row) => [row.id, { row, archived: false }]));
    const missing = attemptIds.filter((id) => !known.has(id));
    const archived = missing.length === 0 ? [] : await findArchived(tx, { workspaceId, attemptIds: missing });
    for (const row of archived) known.set(row.id, { row, archived: true });
    return new ReportedAttempts(tx, deps, { workspaceId, known });
  }

  /** An attempt as it is now. Undefined: the database does not know it. */
  rowOf(attemptId: string): AttemptRow | undefined {
    return this.#known.get(attemptId)?.row;
  }

  /**
   * The attempt of a report whose records count. Takes back a claim that the database has lost and the worker offers again.
   * @returns null if the fence is stale or unknown. Then the report changes nothing, and is counted as late.
   */
  async admit(worker: WorkerScope, report: AttemptReport): Promise<AttemptRow | null> {
    const found = this.#known.get(report.attemptId);
    const row = (await this.#takenBack(worker, report)) ?? found?.row;
    if (
      found === undefined ||
      row === undefined ||
      !isCurrent(row, { ...report, workerId: worker.workerId })
    ) {
      this.#addLate(worker, report);
      return null;
    }
    if (row !== found.row || isBehind(row, report)) this.#offered += 1;
    this.#known.set(row.id, { ...found, row });
    return row;
  }

  /** Applies the next records of admitted attempts, each named once. @returns a result for each, in their order. */
  async apply(next: readonly NextRecords[]): Promise<Applied[]> {
    const turns = next.map(({ held, control }) => ({ held, records: control }));
    const results = await applyControls(this.#tx, this.#deps, { workspaceId: this.#workspaceId, turns });
    return next.map((one, index) => {
      const { held, stored, refused } = results[index] ?? { held: one.held, stored: null, refused: [] };
      const { controlAcked, bulkAcked, nextLine } = one;
      const row: AttemptRow = { ...held, controlAcked, bulkAcked, nextLine };
      this.#keep(row, stored);
      return { row, refused };
    });
  }

  /**
   * Stores how far the reports have come, renews the leases of their attempts, and counts late reports.
   * @returns the commands for attempts that their workers must stop.
   */
  async save(): Promise<Command[]> {
    const { clock, config } = this.#deps;
    const { leaseMs, claimLeaseMs } = config;
    const workspaceId = this.#workspaceId;
    const tx = this.#tx;
    for (const archived of [false, true]) {
      await saveProgress(tx, clock, {
        workspaceId,
        leaseMs,
        claimLeaseMs,
        table: archived ? "attempt_history" : "attempt",
        progress: [...this.#progress.values()].filter((one) => one.archived === archived),
      });
    }
    for (const late of this.#late) await noteLate(tx, clock, { ...late, workspaceId });
    await noteRestore(tx, clock, {
      workspaceId,
      offered: this.#offered,
      unknownAttempts: [...this.#unknown],
    });
    const cancelling = [...this.#known.values()].filter(({ row }) => row.state === "cancelling");
    if (cancelling.length === 0) return [];
    const attemptIds = cancelling.map(({ row }) => row.id);
    const found = await listCancelling(tx, { workspaceId, attemptIds });
    return found.map((row) => ({ kind: "cancel", ...row }));
  }

  /** Keeps an attempt, and its progress unless a start or end has stored the same. */
  #keep(row: AttemptRow, stored: AttemptRow | null): void {
    const archived = this.#known.get(row.id)?.archived ?? false;
    this.#known.set(row.id, { row, archived });
    const { controlAcked, bulkAcked, nextLine, cancelStage } = row;
    const progress = { attemptId: row.id, controlAcked, bulkAcked, nextLine, cancelStage };
    if (stored !== null && hasProgress(stored, progress)) this.#progress.delete(row.id);
    else this.#progress.set(row.id, { ...progress, archived });
  }

  /**
   * Records a report with a stale fence, unless its claim never existed: invented fences could fill the table. After a restore
   * it also records an attempt that the database does not know.
   */
  #addLate({ workerId }: WorkerScope, { attemptId, epoch, records }: AttemptReport): void {
    const row = this.rowOf(attemptId);
    if (row === undefined) {
      this.#addUnknown({ attemptId, epoch, workerId });
      return;
    }
    if (epoch > row.epoch || records.length === 0) return;
    const kinds = [
      ...new Set(records.map(({ type }) => (typeof type === "string" ? type.slice(0, 20) : "?"))),
    ];
    this.#late.push({ attemptId, epoch, workerId, records: records.length, kinds: cleanJson(kinds) });
  }

  /** Reports an attempt that the database may have lost in a restore. Its outcome stays unknown. */
  #addUnknown(args: { attemptId: string; epoch: number; workerId: string }): void {
    const { incarnations, log } = this.#deps;
    if ((incarnations.last?.ageMs ?? Number.POSITIVE_INFINITY) > REPORT_UNKNOWN_MS) return;
    this.#unknown.add(args.attemptId);
    log.warn(
      { attempt: args.attemptId, epoch: args.epoch, worker: args.workerId },
      "a worker reported an attempt that the restored database does not have; its outcome is unknown",
    );
  }

  /**
   * Returns an attempt to the worker that holds it, if the database went back and forgot the claim. The offered claim must be
   * newer than any stored one, and no older one may have started. So no other worker executes the attempt a second time. Any
   * worker that may claim from the pool may do this.
   * @returns the attempt after the change, or null if it cannot be taken back.
   */
  async #takenBack(worker: WorkerScope, fence: Fence): Promise<AttemptRow | null> {
    const found = this.#known.get(fence.attemptId);
    if (found === undefined || found.archived) return null;
    const held = found.row;
    const isOpen = held.startedAt === null && (held.state === "ready" || held.state === "claimed");
    if (!isOpen || held.poolId !== worker.poolId || !NONCE.test(fence.nonce)) return null;
    if (fence.epoch <= held.epoch || fence.epoch > held.epoch + FORGOTTEN_MAX) return null;
    const wentBack = await wentBackAt(this.#tx);
    if (wentBack === null || held.createdAt >= wentBack) return null;
    const { clock, config } = this.#deps;
    if (held.state === "ready")
      await moveRun(this.#tx, clock, { workspaceId: held.workspaceId, id: held.runId, by: "claim" });
    const { claimLeaseMs } = config;
    return await takeBackAttempt(this.#tx, clock, { held, worker, fence, claimLeaseMs });
  }
}

/**
 * Whether a fence is the attempt's current one, so that its records count. An attempt that ended without a report of
 * its worker (lost, or cancelled before a start) accepts nothing more: later records are late.
 */
function isCurrent(row: AttemptRow, fence: Fence & { workerId: string }): boolean {
  if (row.nonce === null || row.workerId !== fence.workerId) return false;
  const same = sameFence({ attemptId: row.id, epoch: row.epoch, nonce: row.nonce }, fence);
  return same && (row.endedAt === null || row.lastBulkSeq !== null);
}

/** Whether the database has fewer records of an attempt than it acknowledged. */
function isBehind({ controlAcked, bulkAcked }: AttemptRow, { acked }: AttemptReport): boolean {
  return acked !== undefined && (acked.control > controlAcked || acked.bulk > bulkAcked);
}

/** Whether a stored row already contains the progress. */
function hasProgress(row: AttemptRow, progress: Progress): boolean {
  const { controlAcked, bulkAcked, nextLine, cancelStage } = progress;
  return (
    row.controlAcked === controlAcked &&
    row.bulkAcked === bulkAcked &&
    row.nextLine === nextLine &&
    row.cancelStage === cancelStage
  );
}
