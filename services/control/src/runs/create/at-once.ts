import { setImmediate as turn } from "node:timers/promises";
import { Problem } from "@towpath/contract";
import { forgetLatest, likelyLatestVersion, type PinnedVersion } from "../../deployments/index.ts";
import { type Deps, DUE, reachDisk, wakeSequencer } from "../../kernel/index.ts";
import type { AssignedAttempt, WorkerSlot } from "../moves/claim.ts";
import { insertRun, type MadeRun } from "../moves/create.ts";
import { NO_NEEDS } from "../needs.ts";
import type { RunRow } from "../table.ts";
import { type CreateRequest, newRun, pinned } from "./create.ts";

/**
 * A slot of a waiting poll that is reserved for one run that is about to be created. The caller calls one of the two
 * methods, once.
 */
export interface ReservedSlot {
  readonly slot: WorkerSlot;
  /** The run was created and given to this slot. Null: it was not. */
  settle(given: AssignedAttempt | null): void;
  /** It is unknown whether the run was created and given to this slot. */
  doubt(): void;
}

/** The polls that wait in this process. */
export interface Waiting {
  /** Whether a worker with a free slot waits at a pool, so that a ready run there is claimed at once. */
  areWaiting(poolId: string): boolean;
  /** Reserves a slot of a poll that waits at a pool, for a run that is about to be created. Null: no poll waits. */
  reserve(poolId: string): ReservedSlot | null;
}

/** A run that was just created, and the slot that it got at once. Null: it waits in its queue. */
export interface Made {
  readonly row: RunRow;
  readonly by: WorkerSlot | null;
}

/** Whether a new run is, or will be, claimed at once. Then nothing else that it might wait for must be read. */
export function isAwaited(
  made: Made,
  waiting: Waiting | undefined,
): made is Made & { row: { attemptId: string } } {
  const { row } = made;
  // A waiting worker may not have the amounts that the run needs.
  const isPlain = row.needs === NO_NEEDS;
  return (
    row.attemptId !== null && (made.by !== null || (isPlain && waiting?.areWaiting(row.poolId) === true))
  );
}

/**
 * The short path, for almost every request: the id is new and nothing blocks the run. One statement is its own
 * transaction. It refuses a version that is no longer the latest, and a run that needs slots of a limit. If a worker
 * waits in this process, the same statement gives it the run.
 * @returns null if the short path does not fit: nothing was changed, and `createIn` handles the request.
 */
export async function createAtOnce(
  deps: Deps,
  args: CreateRequest,
  waiting: Waiting | undefined,
): Promise<Made | null> {
  const name = { workspaceId: args.workspaceId, name: args.request.deployment };
  // The refusal may come from an earlier version. A repeated request gets its run, whatever this version says.
  const read = () => likelyLatestVersion(deps.database, name);
  const version = await pinned(deps, { ...args, tx: null }, read).catch(onlyProblems);
  const kept =
    version === null || args.request.scheduledAt !== undefined ? null : waiting?.reserve(version.poolId);
  const made = version && (await insertKept(deps, { ...args, version }, kept ?? null));
  if (made === null) {
    forgetLatest(deps.database, name);
    return null;
  }
  const { row, given } = made;
  if (given === null && row.attemptId !== null) deps.wakes.publish("pool", [row.poolId]);
  else if (given === null) deps.wakes.publish("change", [DUE]);
  wakeSequencer(deps);
  return { row, by: given && kept ? kept.slot : null };
}

/**
 * Creates a plain run for a reserved slot, and ends the reservation in every case. The worker hears of the run before
 * the commit is on disk; the creator does not.
 */
async function insertKept(
  deps: Deps,
  args: CreateRequest & { version: PinnedVersion },
  kept: ReservedSlot | null,
): Promise<MadeRun | null> {
  const run = newRun(deps, { ...args, onlyIfPlain: true, slot: kept?.slot ?? null });
  let made: MadeRun | null;
  try {
    made = await insertRun(deps.database.db, deps.clock, run);
  } catch (error) {
    kept?.doubt();
    throw error;
  }
  kept?.settle(made?.given ?? null);
  if (kept === null) return made;
  // Sends the answer to the worker before the database gets the next statement.
  await turn();
  await reachDisk(deps.database.db);
  return made;
}

/** @returns null for a Problem; rethrows anything else. */
function onlyProblems(error: unknown): null {
  if (error instanceof Problem) return null;
  throw error;
}
