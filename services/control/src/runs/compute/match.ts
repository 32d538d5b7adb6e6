import { type Amounts, covers, lacking, without } from "@towpath/contract";
import { allocate, comparePositions, PATIENCE_MS, type Position, type WaitList } from "../../limits/index.ts";

/** An attempt that is ready. */
export interface Ready extends Position {
  readonly attemptId: string;
  /** How long it has been ready. */
  readonly waitedMs: number;
}

/** Attempts that need the same amounts. */
export interface NeedsList extends WaitList<Ready> {
  readonly needs: Amounts;
}

/** A worker of the pool at this moment. */
export interface WorkerCapacity {
  readonly workerId: string;
  /** How many attempts it can get now. 0 if its poll waits at another process. */
  readonly slots: number;
  /** Whether it has a free slot, even if its poll waits on another process. */
  readonly hasSlot: boolean;
  readonly total: Amounts;
  readonly free: Amounts;
}

/** An attempt, and the worker that gets it. */
export interface Match {
  readonly attemptId: string;
  readonly workerId: string;
}

/** A worker that reserves amounts, and the attempt that it reserves them for. */
export interface Kept {
  readonly workerId: string;
  readonly attemptId: string;
}

interface Cell {
  readonly capacity: WorkerCapacity;
  slots: number;
  free: Amounts;
  /** The attempt that amounts are reserved for here. Later attempts find that much less free. */
  keptFor: { readonly attemptId: string; readonly needs: Amounts } | null;
}

/**
 * Decides which worker gets which attempt, by `allocate`. An attempt gets everything that it needs on one worker, or
 * nothing.
 *
 * Small attempts could overtake a large one again and again. Once an attempt has been ready for `PATIENCE_MS`, its
 * needs are reserved on the worker that lacks least of them. Later attempts get only the rest there, so the missing
 * part shrinks unless an earlier attempt takes it. Nothing is reserved for an attempt that no worker could ever hold. A
 * worker reserves for at most one attempt, and a waiting attempt holds nothing, so reservations cannot deadlock.
 */
export function match(args: { lists: readonly NeedsList[]; capacities: readonly WorkerCapacity[] }): {
  given: Match[];
  kept: Kept[];
} {
  const cells = args.capacities.map(
    (capacity): Cell => ({ capacity, slots: capacity.slots, free: capacity.free, keptFor: null }),
  );
  const given: Match[] = [];
  allocate(args.lists, {
    compare: compareReady,
    take({ list: { needs }, request }) {
      const cell = bestOf(cells, needs);
      if (cell === null) {
        const isBig = Object.keys(needs).length > 0;
        if (isBig && request.waitedMs >= PATIENCE_MS) keep(cells, { needs, attemptId: request.attemptId });
        return false;
      }
      cell.slots -= 1;
      cell.free = taking(cell.free, needs);
      given.push({ attemptId: request.attemptId, workerId: cell.capacity.workerId });
      return true;
    },
  });
  const kept = cells.flatMap(({ capacity, keptFor }) =>
    keptFor === null ? [] : [{ workerId: capacity.workerId, attemptId: keptFor.attemptId }],
  );
  return { given, kept };
}

/** Below zero if `one` goes before `other`. */
function compareReady(one: Ready, other: Ready): number {
  return comparePositions(one, other) || (one.attemptId < other.attemptId ? -1 : 1);
}

/**
 * The amounts that remain after needs are taken. A need for any kind of device counts as taken from each kind, until
 * the worker has reported which kind it gave.
 */
export function taking(free: Amounts, needs: Amounts): Amounts {
  const left = without(free, needs);
  if (needs.gpu === undefined || Object.keys(needs).some(isKind)) return left;
  const kinds = Object.keys(left).filter(isKind);
  return without(left, Object.fromEntries(kinds.map((name) => [name, needs.gpu ?? 0])));
}

function isKind(name: string): boolean {
  return name.startsWith("gpu:");
}

function room(cell: Cell): Amounts {
  return cell.keptFor === null ? cell.free : taking(cell.free, cell.keptFor.needs);
}

/**
 * The worker that fits best. It has the fewest amounts that the attempt does not need, so that GPUs stay free for
 * attempts that need them. Among equals it has the least left over, so that large needs find room elsewhere. An attempt
 * without needs goes where most slots are free, to spread work.
 */
function bestOf(cells: readonly Cell[], needs: Amounts): Cell | null {
  const names = Object.keys(needs);
  const fitting = cells.filter((cell) => cell.slots > 0 && covers(room(cell), needs));
  const cost = (cell: Cell): [number, number] =>
    names.length === 0
      ? [cell.keptFor === null ? 0 : 1, -cell.slots]
      : [
          Object.keys(cell.capacity.total).filter((name) => !names.includes(name)).length,
          names.reduce(
            (sum, name) => sum + ((cell.free[name] ?? 0) - (needs[name] ?? 0)) / (needs[name] ?? 1),
            0,
          ),
        ];
  return leastOf(fitting, cost);
}

/** Reserves needs on the worker that could hold them and lacks least of them, among workers without a reservation. */
function keep(cells: readonly Cell[], { needs, attemptId }: NonNullable<Cell["keptFor"]>): void {
  const able = cells.filter(({ capacity, keptFor }) => keptFor === null && covers(capacity.total, needs));
  const chosen = leastOf(able, (cell) => [lackOf(cell, needs), 0]);
  if (chosen !== null) chosen.keptFor = { attemptId, needs };
}

/** How much of the needs is missing: the fraction of each amount, plus one for a slot. */
function lackOf({ free, capacity }: Cell, needs: Amounts): number {
  const parts = lacking(free, needs).map((name) => 1 - Math.max(0, free[name] ?? 0) / (needs[name] ?? 1));
  return parts.reduce((sum, part) => sum + part, capacity.hasSlot ? 0 : 1);
}

/** The cell of least cost. Among equals the smallest id, so that every process chooses the same. */
function leastOf(cells: readonly Cell[], cost: (cell: Cell) => [number, number]): Cell | null {
  let least: { cell: Cell; cost: [number, number] } | null = null;
  for (const cell of cells) {
    const one = { cell, cost: cost(cell) };
    if (least === null || isLess(one, least)) least = one;
  }
  return least?.cell ?? null;
}

function isLess(one: { cell: Cell; cost: [number, number] }, other: typeof one): boolean {
  if (one.cost[0] !== other.cost[0]) return one.cost[0] < other.cost[0];
  if (one.cost[1] !== other.cost[1]) return one.cost[1] < other.cost[1];
  return one.cell.capacity.workerId < other.cell.capacity.workerId;
}
