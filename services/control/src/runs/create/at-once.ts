import { setImmediate as turn } from "node:timers/promises";
import { Problem } from "@towpath/contract";
import { forgetLatest, likelyLatestVersion, type PinnedVersion } from "../../deployments/index.ts";
import { type Deps, DUE, reachDisk, wakeSequencer } from "../../kernel/index.ts";
import type { AssignedAttempt, Place } from "../moves/claim.ts";
import { insertRun, type MadeRun } from "../moves/create.ts";
import { NO_NEEDS } from "../needs.ts";
import type { RunRow } from "../table.ts";
import { type CreateRequest, newRun, pinned } from "./create.ts";

/** A place of a waiting poll, kept for one run that is about to be made. One of the two is called, once. */
export interface KeptPlace {
  readonly place: Place;
  /** The run was made, and given to this place or not: null. */
  settle(given: AssignedAttempt | null): void;
  /** Nobody knows whether the run was made, and given to this place. */
  doubt(): void;
}

/** The polls that wait in this process. */
export interface Waiting {
  /** Whether a worker with a free slot waits at a pool: a run that becomes ready there is taken at once. */
  areWaiting(poolId: string): boolean;
  /** Keeps a place of a poll that waits at a pool, for a run that is about to be made. Null: nobody waits. */
  keep(poolId: string): KeptPlace | null;
}

/** A run that was just created, and the slot that it got at once. Null: it waits in its queue. */
export interface Made {
  readonly row: RunRow;
  readonly by: Place | null;
}

/** Whether a run that was just made is taken at once, or was. What else it might wait for need not be read then. */
export function isAwaited(
  made: Made,
  waiting: Waiting | undefined,
): made is Made & { row: { attemptId: string } } {
  const { row } = made;
  // Whether one of them has what it needs is another question.
  const isPlain = row.needs === NO_NEEDS;
  return (
    row.attemptId !== null && (made.by !== null || (isPlain && waiting?.areWaiting(row.poolId) === true))
  );
}

/**
 * The short way, for what almost every request is: a new id and nothing in its way. One statement is its own transaction,
 * and refuses a version that is no longer the latest, or a run that needs slots.
 * If a worker waits for work in this process, the same statement gives the run to it.
 * @returns null if it is not so simple: nothing was changed, and `createIn` finds out what there is.
 */
export async function createAtOnce(
  deps: Deps,
  args: CreateRequest,
  waiting: Waiting | undefined,
): Promise<Made | null> {
  const name = { workspaceId: args.workspaceId, name: args.request.deployment };
  // A refusal may be of an earlier version, and a repeated request is answered with its run whatever this one says.
  const read = () => likelyLatestVersion(deps.database, name);
  const version = await pinned(deps, { ...args, tx: null }, read).catch(onlyProblems);
  const kept =
    version === null || args.request.scheduledAt !== undefined ? null : waiting?.keep(version.poolId);
  const made = version && (await insertKept(deps, { ...args, version }, kept ?? null));
  if (made === null) {
    forgetLatest(deps.database, name);
    return null;
  }
  const { row, given } = made;
  if (given === null && row.attemptId !== null) deps.wakes.publish("pool", [row.poolId]);
  else if (given === null) deps.wakes.publish("change", [DUE]);
  wakeSequencer(deps);
  return { row, by: given && kept ? kept.place : null };
}

/**
 * Makes a plain run for a place that was kept. Whatever comes of it, the place is no longer kept then. Its worker hears of the run before
 * that is on disk; its creator does not.
 */
async function insertKept(
  deps: Deps,
  args: CreateRequest & { version: PinnedVersion },
  kept: KeptPlace | null,
): Promise<MadeRun | null> {
  const run = newRun(deps, { ...args, onlyIfPlain: true, place: kept?.place ?? null });
  let made: MadeRun | null;
  try {
    made = await insertRun(deps.database.db, deps.clock, run);
  } catch (error) {
    kept?.doubt();
    throw error;
  }
  kept?.settle(made?.given ?? null);
  if (kept === null) return made;
  // The answer to the worker is on its way before the database is asked for more.
  await turn();
  await reachDisk(deps.database.db);
  return made;
}

/** @returns null for a refusal; what is no refusal goes on. */
function onlyProblems(error: unknown): null {
  if (error instanceof Problem) return null;
  throw error;
}
