import { type Amounts, type Fence, without } from "@towpath/contract";
import { type Deps, inTransaction, type WorkerScope } from "../../kernel/index.ts";
import { type AssignedAttempt, claimChosen } from "../moves/claim.ts";
import { NO_NEEDS, readNeeds } from "../needs.ts";
import { type Match, match, type NeedsList, taking, type WorkerCapacity } from "./match.ts";
import { listReady, listWorkersNow, lockWorkers, nextLists, type ReadyRow, type WorkerNow } from "./store.ts";

/** A waiting poll, with what its worker can take. */
export interface WaitingPoll {
  readonly worker: WorkerScope;
  /** The worker's name. */
  readonly name: string;
  /** The poll's number since the worker's start. */
  readonly seq: number;
  /** How many attempts it can take. */
  readonly free: number;
  /** The amounts that it reported as free. Null: all of them. */
  readonly amounts: Amounts | null;
  /** The attempts that the worker reported as held. */
  readonly held: readonly Fence[];
}

/** The most attempts of one list that one step assigns. */
const PER_LIST_MAX = 100;

/** The result of one step of matching. */
export interface Given {
  readonly claimed: readonly AssignedAttempt[];
  /** Whether another step may find more. */
  readonly more: boolean;
  /** Whether a ready attempt needs more than a slot. If so, the next look must match too. */
  readonly mixed: boolean;
  /** The list of needs after which the next step begins. */
  readonly after: string;
}

/**
 * Gives ready attempts of a pool to waiting polls, when some attempts need more than a slot. Each attempt goes to a
 * worker that has all of its needs free, both by the database and by the worker's own report.
 *
 * Locks the workers' rows before it reads what they hold, so that two control planes never give the same amounts away.
 * Skips attempts that are no longer ready when they are claimed.
 */
export async function giveMatched(
  deps: Deps,
  args: {
    pool: { workspaceId: string; poolId: string };
    waiters: readonly WaitingPoll[];
    slots: number;
    after: string;
    claimLeaseMs: number;
  },
): Promise<Given> {
  const { workspaceId } = args.pool;
  return await inTransaction(deps, async (tx) => {
    const each = Math.min(args.slots, PER_LIST_MAX);
    const ready = await listReady(tx, deps.clock, { ...args.pool, each, after: args.after });
    const mixed = ready.some((one) => one.needs !== NO_NEEDS);
    const after = nextLists(ready);
    if (ready.length === 0) return { claimed: [], more: args.after !== "", mixed: args.after !== "", after };
    const workerIds = args.waiters.map(({ worker }) => worker.workerId);
    await lockWorkers(tx, { workspaceId, workerIds });
    const workers = await listWorkersNow(tx, deps.clock, { ...args.pool, waiting: workerIds });
    const waiting = new Map(args.waiters.map((waiter) => [waiter.worker.workerId, waiter]));
    const capacities = workers.filter((one) => one.takes).map((one) => capacityOf(one, waiting.get(one.id)));
    const { given } = match({ lists: listsOf(ready), capacities });
    const chosen = given.flatMap((one) => slotOf(one, waiting));
    if (chosen.length === 0) return { claimed: [], more: after !== "", mixed, after };
    const { claimLeaseMs } = args;
    const claimed = await claimChosen(tx, deps.clock, { workspaceId, chosen, claimLeaseMs });
    return { claimed, more: claimed.length > 0 || after !== "", mixed, after };
  });
}

/** Ready attempts, in lists of equal needs. */
export function listsOf(ready: readonly ReadyRow[]): NeedsList[] {
  return [...Map.groupBy(ready, (one) => one.needs)].map(([needs, of]) => ({
    needs: readNeeds(needs),
    requests: of,
  }));
}

/** A worker as the matching sees it. */
export function capacityOf(worker: WorkerNow, waiter: WaitingPoll | undefined): WorkerCapacity {
  const { id: workerId, amounts: total } = worker;
  const slots = waiter !== undefined && stands(worker, waiter) ? waiter.free : 0;
  const hasSlot = slots > 0 || worker.held < worker.capacity;
  return { workerId, slots, hasSlot, total, free: freeOf(worker, waiter) };
}

/** Whether the worker has neither restarted nor polled at another process since this poll. */
function stands(worker: WorkerNow, { worker: session, seq }: WaitingPoll): boolean {
  return worker.generation === session.generation && worker.pollSeq <= seq;
}

/**
 * The free amounts of a worker: its total without everything that it holds, and at most what it reported, without the
 * attempts that it did not know of when it reported.
 */
function freeOf(worker: WorkerNow, waiter: WaitingPoll | undefined): Amounts {
  const byRows = worker.holds.reduce<Amounts>(
    (free, one) => without(free, readNeeds(one.needs)),
    worker.amounts,
  );
  if (waiter === undefined) return byRows;
  const known = new Set(waiter.held.map((fence) => fence.attemptId));
  const unreported = worker.holds.filter((one) => !known.has(one.attemptId));
  const byPoll = unreported.reduce<Amounts>(
    (free, one) => taking(free, readNeeds(one.needs)),
    waiter.amounts ?? worker.amounts,
  );
  return Object.fromEntries(
    Object.entries(byRows).map(([name, amount]) => [name, Math.min(amount, byPoll[name] ?? 0)]),
  );
}

function slotOf({ attemptId, workerId }: Match, waiting: ReadonlyMap<string, WaitingPoll>) {
  const waiter = waiting.get(workerId);
  if (waiter === undefined) return [];
  const { worker, name: workerName, seq } = waiter;
  return [{ attemptId, workerId, workerName, poll: { generation: worker.generation, seq } }];
}
