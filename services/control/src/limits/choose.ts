import {
  allocate,
  comparePositions,
  type Grant,
  PATIENCE_MS,
  type Position,
  type WaitList,
} from "./allocate.ts";

/** The position of a request in every wait list. Of equals the names decide. */
export interface RequestPosition extends Position {
  readonly runId: string;
  readonly path: string;
}

/** A run or a task that needs slots before it may start. */
export interface Request extends RequestPosition {
  readonly id: string;
  /** When a later request first took what it needs, Unix milliseconds. */
  readonly passedMs: number | null;
}

/** Requests that need the same slots. */
export interface SlotList extends WaitList<Request> {
  readonly id: string;
  readonly needs: ReadonlyMap<string, number>;
}

/** A limit at this moment, locked. */
export interface LimitState {
  /** Negative once its slots were lowered below what is taken. */
  readonly free: number;
  /** The request for which free slots are kept, and how many. */
  readonly reserved: { readonly by: Request; readonly amount: number } | null;
}

/** Which requests get their slots, and what keeps the first of each other wait list back. */
export interface Choice {
  readonly granted: readonly Grant<SlotList>[];
  /** Requests that a later one overtook for the first time. */
  readonly passed: readonly Request[];
  /** By limit: the request for which its free slots are now kept. */
  readonly reserved: ReadonlyMap<string, Request>;
  /** By wait list: the limits that its first request lacks. */
  readonly lacking: ReadonlyMap<string, readonly string[]>;
}

/** Below zero if `one` goes before `other`. */
export function compareRequests(one: RequestPosition, other: RequestPosition): number {
  const byPosition = comparePositions(one, other);
  if (byPosition !== 0) return byPosition;
  if (one.runId !== other.runId) return one.runId < other.runId ? -1 : 1;
  return one.path < other.path ? -1 : one.path > other.path ? 1 : 0;
}

interface Cell {
  free: number;
  reserved: { by: Request; amount: number } | null;
}

/**
 * Decides which requests take the free slots, as `allocate`.
 *
 * Requests that need one limit could overtake one that needs several without end. After `PATIENCE_MS` the free slots of all its limits
 * are kept for it. Of two requests that want the same slots the earlier one gets them, also from the later one. So the earliest
 * request of all waits for no other, and keeping slots cannot deadlock.
 */
export function choose(args: {
  lists: readonly SlotList[];
  limits: ReadonlyMap<string, LimitState>;
  nowMs: number;
}): Choice {
  const cells = new Map<string, Cell>([...args.limits].map(([id, state]) => [id, { ...state }]));
  const stuck: Grant<SlotList>[] = [];
  const passed = new Set<Request>();
  const reserved = new Map<string, Request>();
  const lacking = new Map<string, readonly string[]>();
  const granted = allocate(args.lists, {
    compare: compareRequests,
    take(next) {
      const { list, request } = next;
      const lacks = lackOf(cells, list, request);
      if (lacks.length > 0) {
        stuck.push(next);
        lacking.set(list.id, lacks);
        if (isOut(request, args.nowMs) && keep(cells, list, request))
          for (const id of list.needs.keys()) reserved.set(id, request);
        return false;
      }
      take(cells, list, request);
      for (const id of list.needs.keys()) if (reserved.get(id) === request) reserved.delete(id);
      for (const other of stuck) if (harms(cells, list, other.list)) passed.add(other.request);
      return true;
    },
  });
  return {
    granted,
    passed: [...passed].filter((one) => one.passedMs === null),
    reserved,
    lacking,
  };
}

/** The limits that have no room for this request, what is kept for an earlier one not counted as room. */
function lackOf(cells: ReadonlyMap<string, Cell>, list: SlotList, request: Request): string[] {
  return [...list.needs].flatMap(([id, amount]) => {
    const cell = cells.get(id);
    if (cell === undefined) return [id];
    const { by, amount: kept } = cell.reserved ?? { by: null, amount: 0 };
    const others = by !== null && by.id !== request.id && compareRequests(by, request) < 0 ? kept : 0;
    return cell.free - others >= amount ? [] : [id];
  });
}

function take(cells: Map<string, Cell>, list: SlotList, request: Request): void {
  for (const [id, amount] of list.needs) {
    const cell = cells.get(id);
    if (cell === undefined) continue;
    cell.free -= amount;
    if (cell.reserved?.by.id === request.id) cell.reserved = null;
  }
}

function isOut(request: Request, nowMs: number): boolean {
  return request.passedMs !== null && nowMs - request.passedMs >= PATIENCE_MS;
}

/** Keeps free slots of all that a request needs, or of none if an earlier one has any of them kept. */
function keep(cells: Map<string, Cell>, list: SlotList, request: Request): boolean {
  const mine = [...list.needs].flatMap(([id, amount]) => {
    const cell = cells.get(id);
    return cell === undefined ? [] : [{ cell, amount }];
  });
  const earlier = mine.some(({ cell }) => {
    const by = cell.reserved?.by;
    return by !== undefined && by.id !== request.id && compareRequests(by, request) < 0;
  });
  if (earlier) return false;
  for (const { cell, amount } of mine) cell.reserved = { by: request, amount };
  return true;
}

/** Whether what was just granted left too little of a limit that the first of another wait list needs too. */
function harms(cells: ReadonlyMap<string, Cell>, granted: SlotList, other: SlotList): boolean {
  return [...other.needs].some(
    ([id, amount]) => granted.needs.has(id) && (cells.get(id)?.free ?? 0) < amount,
  );
}
