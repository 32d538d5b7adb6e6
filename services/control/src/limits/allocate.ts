/** The position of a request among all others: the higher priority first, then the one that was due earlier. */
export interface Position {
  readonly priority: number;
  readonly dueMs: number;
}

/** Requests that need the same, in order. If the first cannot go, none of them can. */
export interface WaitList<Request> {
  readonly requests: readonly Request[];
}

/** How long other requests may overtake one before resources are kept for it, milliseconds. */
export const PATIENCE_MS = 30_000;

/** Below zero if `one` goes before `other`; 0 if a name must decide. */
export function comparePositions(one: Position, other: Position): number {
  return other.priority - one.priority || one.dueMs - other.dueMs;
}

/** A request that was granted, and its wait list. */
export interface Grant<List extends WaitList<unknown>> {
  readonly list: List;
  readonly request: List["requests"][number];
}

/**
 * Decides which requests get resources: one walk over all wait lists in one order, each request all that it needs or nothing. It is
 * the same for slots of limits and for amounts of workers; the caller keeps account of what is free.
 *
 * A list whose first request cannot go is left. So a request that waits for one resource never delays a request that does not
 * need it.
 * @param by.take takes all that a request needs, or returns false; it may then keep resources for that request.
 */
export function allocate<List extends WaitList<unknown>>(
  lists: readonly List[],
  by: {
    compare(one: List["requests"][number], other: List["requests"][number]): number;
    take(grant: Grant<List>): boolean;
  },
): Grant<List>[] {
  const cursors = new Map(lists.map((list) => [list, 0]));
  const granted: Grant<List>[] = [];
  for (let next = first(cursors, by.compare); next !== null; next = first(cursors, by.compare)) {
    const { list } = next;
    if (by.take(next)) {
      cursors.set(list, (cursors.get(list) ?? 0) + 1);
      granted.push(next);
    } else cursors.delete(list);
  }
  return granted;
}

/** The first of the requests that are next in their lists. A list without a next request is dropped. */
function first<List extends WaitList<unknown>>(
  cursors: Map<List, number>,
  compare: (one: List["requests"][number], other: List["requests"][number]) => number,
): Grant<List> | null {
  let found: Grant<List> | null = null;
  for (const [list, at] of cursors) {
    const request = list.requests[at];
    if (request === undefined) cursors.delete(list);
    else if (found === null || compare(request, found.request) < 0) found = { list, request };
  }
  return found;
}
