/** Where a request stands in every line: the higher priority first, then who was due earlier, then by name. */
export interface Place {
  readonly priority: number;
  readonly dueMs: number;
  readonly runId: string;
  readonly path: string;
}

/** Something that needs slots before it may go. */
export interface Request extends Place {
  readonly id: string;
  /** When something behind it first took what it needs. */
  readonly passedMs: number | null;
}

/** Requests that need the same, in order. If the first cannot go, none can. */
export interface Line {
  readonly id: string;
  readonly needs: ReadonlyMap<string, number>;
  readonly requests: readonly Request[];
}

/** A limit at this moment, locked. */
export interface LimitState {
  /** Negative once its slots were lowered below what is taken. */
  readonly free: number;
  /** For whom free slots are kept, and how many. */
  readonly reserved: { readonly by: Request; readonly amount: number } | null;
}

/** Who goes, who was passed over, and what keeps the first of each other line back. */
export interface Choice {
  readonly granted: readonly { readonly line: Line; readonly request: Request }[];
  /** Requests that something behind them passed for the first time. */
  readonly passed: readonly Request[];
  /** Who now has free slots of which limit kept for it. */
  readonly reserved: ReadonlyMap<string, Request>;
  /** By line: the limits that its first lacks. */
  readonly lacking: ReadonlyMap<string, readonly string[]>;
}

/** How long a request may be passed over before free slots are kept for it, milliseconds. */
export const PATIENCE_MS = 30_000;

/** Below zero if `one` goes before `other`. */
export function comparePlaces(one: Place, other: Place): number {
  if (one.priority !== other.priority) return other.priority - one.priority;
  if (one.dueMs !== other.dueMs) return one.dueMs - other.dueMs;
  if (one.runId !== other.runId) return one.runId < other.runId ? -1 : 1;
  return one.path < other.path ? -1 : one.path > other.path ? 1 : 0;
}

interface Cell {
  free: number;
  reserved: { by: Request; amount: number } | null;
}

/**
 * Decides who takes the free slots: one walk over all lines in one order, each request all that it needs or nothing.
 *
 * One whose line's first cannot go is not looked at, so that what waits for one limit never holds up what does not need
 * it. A request that needs several limits could be passed over for ever by those that need one; after `PATIENCE_MS` the
 * free slots of all its limits are kept for it. Of two that want the same, the earlier in the one order gets it, also
 * from the later one: the earliest of all is never waited for by itself, so that keeping slots cannot deadlock.
 */
export function choose(args: {
  lines: readonly Line[];
  limits: ReadonlyMap<string, LimitState>;
  nowMs: number;
}): Choice {
  const cells = new Map<string, Cell>([...args.limits].map(([id, state]) => [id, { ...state }]));
  const granted: { line: Line; request: Request }[] = [];
  const stuck: { line: Line; request: Request }[] = [];
  const passed = new Set<Request>();
  const reserved = new Map<string, Request>();
  const lacking = new Map<string, readonly string[]>();
  const cursors = new Map(args.lines.map((line) => [line, 0]));
  for (let next = earliest(cursors); next !== null; next = earliest(cursors)) {
    const { line, request } = next;
    const lacks = lackOf(cells, line, request);
    if (lacks.length > 0) {
      cursors.delete(line);
      stuck.push(next);
      lacking.set(line.id, lacks);
      if (isOut(request, args.nowMs) && keep(cells, line, request))
        for (const id of line.needs.keys()) reserved.set(id, request);
      continue;
    }
    cursors.set(line, (cursors.get(line) ?? 0) + 1);
    granted.push(next);
    take(cells, line, request);
    for (const id of line.needs.keys()) if (reserved.get(id) === request) reserved.delete(id);
    for (const other of stuck) if (harms(cells, line, other.line)) passed.add(other.request);
  }
  return {
    granted,
    passed: [...passed].filter((one) => one.passedMs === null),
    reserved,
    lacking,
  };
}

/** The earliest request that is next in its line; lines that are through are dropped. */
function earliest(cursors: Map<Line, number>): { line: Line; request: Request } | null {
  let found: { line: Line; request: Request } | null = null;
  for (const [line, at] of cursors) {
    const request = line.requests[at];
    if (request === undefined) cursors.delete(line);
    else if (found === null || comparePlaces(request, found.request) < 0) found = { line, request };
  }
  return found;
}

/** The limits that have no room for this request, what is kept for an earlier one not counted as room. */
function lackOf(cells: ReadonlyMap<string, Cell>, line: Line, request: Request): string[] {
  return [...line.needs].flatMap(([id, amount]) => {
    const cell = cells.get(id);
    if (cell === undefined) return [id];
    const { by, amount: kept } = cell.reserved ?? { by: null, amount: 0 };
    const others = by !== null && by.id !== request.id && comparePlaces(by, request) < 0 ? kept : 0;
    return cell.free - others >= amount ? [] : [id];
  });
}

function take(cells: Map<string, Cell>, line: Line, request: Request): void {
  for (const [id, amount] of line.needs) {
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
function keep(cells: Map<string, Cell>, line: Line, request: Request): boolean {
  const mine = [...line.needs].flatMap(([id, amount]) => {
    const cell = cells.get(id);
    return cell === undefined ? [] : [{ cell, amount }];
  });
  const earlier = mine.some(({ cell }) => {
    const by = cell.reserved?.by;
    return by !== undefined && by.id !== request.id && comparePlaces(by, request) < 0;
  });
  if (earlier) return false;
  for (const { cell, amount } of mine) cell.reserved = { by: request, amount };
  return true;
}

/** Whether what was just granted left too little of something that the first of another line needs too. */
function harms(cells: ReadonlyMap<string, Cell>, granted: Line, other: Line): boolean {
  return [...other.needs].some(
    ([id, amount]) => granted.needs.has(id) && (cells.get(id)?.free ?? 0) < amount,
  );
}
