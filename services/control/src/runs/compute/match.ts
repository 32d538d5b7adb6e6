import { type Amounts, covers, lacking, without } from "@towpath/contract";

/** Something ready, and its place in the pool's line: the higher priority first, then who was due earlier. */
export interface Ready {
  readonly attemptId: string;
  readonly priority: number;
  readonly dueMs: number;
  /** How long it has been ready. */
  readonly waitedMs: number;
}

/** What needs the same, in order. If the first fits nowhere, none does. */
export interface NeedsLine {
  readonly needs: Amounts;
  readonly ready: readonly Ready[];
}

/** A worker of the pool at this moment. */
export interface WorkerCapacity {
  readonly workerId: string;
  /** How many attempts it can be given now; 0 if it does not wait here. */
  readonly places: number;
  /** Whether it has a place at all, be it that it does not wait here. */
  readonly hasPlace: boolean;
  readonly total: Amounts;
  readonly free: Amounts;
}

/** Who is given what. */
export interface Match {
  readonly attemptId: string;
  readonly workerId: string;
}

/** Whose amounts are kept for whom. */
export interface Kept {
  readonly workerId: string;
  readonly attemptId: string;
}

/** How long something may be ready before what it needs is kept for it on one worker, milliseconds. */
export const PATIENCE_MS = 30_000;

interface Cell {
  readonly capacity: WorkerCapacity;
  places: number;
  free: Amounts;
  /** Who has it kept. What comes after that one finds so much less free. */
  keptFor: { readonly attemptId: string; readonly needs: Amounts } | null;
}

/**
 * Decides who is given which worker: one walk over all lines in one order, each attempt all that it needs on one worker, or
 * nothing. A line whose first fits nowhere is left, so that what waits for one amount holds up nothing that does not need it.
 *
 * What needs much could be passed over for ever by what needs little. Once it has been ready for `PATIENCE_MS` it has what it
 * needs kept on one worker that could hold it: that which lacks least of it. What comes after it in the order is given only what
 * is left there then, so what it lacks there never grows but by what comes before it, and it gets it in the end. Nothing is
 * kept for what no worker could ever hold. At most one has something kept on a worker, and nobody who waits has taken anything
 * yet: keeping cannot deadlock.
 */
export function match(args: { lines: readonly NeedsLine[]; capacities: readonly WorkerCapacity[] }): {
  given: Match[];
  kept: Kept[];
} {
  const cells = args.capacities.map(
    (capacity): Cell => ({ capacity, places: capacity.places, free: capacity.free, keptFor: null }),
  );
  const cursors = new Map(args.lines.map((line) => [line, 0]));
  const given: Match[] = [];
  for (let next = earliest(cursors); next !== null; next = earliest(cursors)) {
    const { line, ready } = next;
    const cell = bestOf(cells, line.needs);
    if (cell === null) {
      cursors.delete(line);
      const isBig = Object.keys(line.needs).length > 0;
      if (isBig && ready.waitedMs >= PATIENCE_MS) keep(cells, { line, ready });
      continue;
    }
    cursors.set(line, (cursors.get(line) ?? 0) + 1);
    cell.places -= 1;
    cell.free = taking(cell.free, line.needs);
    given.push({ attemptId: ready.attemptId, workerId: cell.capacity.workerId });
  }
  const kept = cells.flatMap(({ capacity, keptFor }) =>
    keptFor === null ? [] : [{ workerId: capacity.workerId, attemptId: keptFor.attemptId }],
  );
  return { given, kept };
}

/**
 * What is left once needs are taken. Of which kind the devices are that any kind would do for, the worker alone decides: until it
 * has said so, each kind counts as taken.
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

/** The earliest that is next in its line; lines that are through are dropped. */
function earliest(cursors: Map<NeedsLine, number>): { line: NeedsLine; ready: Ready } | null {
  let found: { line: NeedsLine; ready: Ready } | null = null;
  for (const [line, at] of cursors) {
    const ready = line.ready[at];
    if (ready === undefined) cursors.delete(line);
    else if (found === null || isBefore(ready, found.ready)) found = { line, ready };
  }
  return found;
}

function isBefore(one: Ready, other: Ready): boolean {
  if (one.priority !== other.priority) return one.priority > other.priority;
  if (one.dueMs !== other.dueMs) return one.dueMs < other.dueMs;
  return one.attemptId < other.attemptId;
}

function room(cell: Cell): Amounts {
  return cell.keptFor === null ? cell.free : taking(cell.free, cell.keptFor.needs);
}

/**
 * The worker that fits best: the one which has least that is not asked for (so that what needs no GPU leaves those that have some
 * alone), and of these the one where least is left over, so that large needs find room elsewhere; what needs nothing goes where
 * most places are, so that it spreads.
 */
function bestOf(cells: readonly Cell[], needs: Amounts): Cell | null {
  const names = Object.keys(needs);
  const fitting = cells.filter((cell) => cell.places > 0 && covers(room(cell), needs));
  const cost = (cell: Cell): [number, number] =>
    names.length === 0
      ? [cell.keptFor === null ? 0 : 1, -cell.places]
      : [
          Object.keys(cell.capacity.total).filter((name) => !names.includes(name)).length,
          names.reduce(
            (sum, name) => sum + ((cell.free[name] ?? 0) - (needs[name] ?? 0)) / (needs[name] ?? 1),
            0,
          ),
        ];
  return leastOf(fitting, cost);
}

/** Keeps what it needs on the worker that could hold it and lacks least of it, among those where nothing is kept yet. */
function keep(cells: readonly Cell[], { line, ready }: { line: NeedsLine; ready: Ready }): void {
  const { needs } = line;
  const able = cells.filter(({ capacity, keptFor }) => keptFor === null && covers(capacity.total, needs));
  const chosen = leastOf(able, (cell) => [lackOf(cell, needs), 0]);
  if (chosen !== null) chosen.keptFor = { attemptId: ready.attemptId, needs };
}

/** How much of what is needed is missing: the parts of each amount, and one for a place. */
function lackOf({ free, capacity }: Cell, needs: Amounts): number {
  const parts = lacking(free, needs).map((name) => 1 - Math.max(0, free[name] ?? 0) / (needs[name] ?? 1));
  return parts.reduce((sum, part) => sum + part, capacity.hasPlace ? 0 : 1);
}

/** The one of least cost; of equal ones that with the smallest id, so that all who look choose the same. */
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
