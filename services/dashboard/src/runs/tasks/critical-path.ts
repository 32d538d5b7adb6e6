import type { TaskNode } from "./task-tree.ts";

/** The calls that decided how long a run took, and how much of its time they cover. */
export interface CriticalPath {
  readonly paths: ReadonlySet<string>;
  /** Time in which one of the flow's own calls on the path ran, milliseconds. The rest the flow spent between them. */
  readonly busyMs: number;
}

interface Timed {
  readonly node: TaskNode;
  readonly startedMs: number;
  readonly endedMs: number;
}

/** When a call ran. Null: it has not begun, or took an earlier result over, which costs no time. */
function timed(node: TaskNode, now: number): Timed | null {
  const { startedAt, endedAt, reused } = node.task;
  if (startedAt === null || reused) return null;
  const startedMs = Date.parse(startedAt);
  // Two clocks are at work: what began after this one's now, or ended before it began, took no time.
  const endedMs = Math.max(startedMs, endedAt === null ? now : Date.parse(endedAt));
  return { node, startedMs, endedMs };
}

/** By when they ended; of those that ended together, in order of appearance. */
function byEnd(a: Timed, b: Timed): number {
  return a.endedMs - b.endedMs || a.node.task.order - b.node.task.order;
}

/** How many of `sorted` ended before a call began, so that it may have waited for them. */
function endedBefore(sorted: readonly Timed[], call: Timed): number {
  const isBefore = (one: Timed) =>
    one.endedMs < call.startedMs ||
    (one.endedMs === call.startedMs && one.node.task.order < call.node.task.order);
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = sorted[middle];
    if (one !== undefined && isBefore(one)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * One chain among calls that were made in the same place, from the last back to the first: each call is taken to have waited
 * for the one that had ended last when it began. That is the result it needed, or the slot that became free for it.
 */
function chainOf(nodes: readonly TaskNode[], now: number): Timed[] {
  const sorted = nodes.flatMap((node) => timed(node, now) ?? []).sort(byEnd);
  const chain: Timed[] = [];
  // Of calls that are all at work still, the one that has been so for longest.
  const open = sorted.filter(({ node }) => node.task.endedAt === null);
  let call = open.length > 0 ? open.reduce((a, b) => (b.startedMs < a.startedMs ? b : a)) : sorted.at(-1);
  while (call !== undefined) {
    chain.push(call);
    const before = endedBefore(sorted, call);
    call = before === 0 ? undefined : sorted[before - 1];
  }
  return chain;
}

/**
 * The calls of an attempt that decided how long it took. Task records say when a call was made, began and ended, and which
 * call it was made in, not whose results it was given: so the path is read from times, backwards from what ended last, and
 * within each call on it from the calls that it made itself.
 */
export function criticalPathOf(roots: readonly TaskNode[], now: number): CriticalPath {
  const paths = new Set<string>();
  const walk = (nodes: readonly TaskNode[]): Timed[] => {
    const chain = chainOf(nodes, now);
    for (const { node } of chain) {
      paths.add(node.task.path);
      walk(node.children);
    }
    return chain;
  };
  const own = walk(roots);
  return { paths, busyMs: own.reduce((sum, one) => sum + one.endedMs - one.startedMs, 0) };
}
