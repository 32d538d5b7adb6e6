import type { TaskNode } from "./task-tree.ts";

/** The calls that decided the duration of a run, and how much of it they cover. */
export interface CriticalPath {
  readonly paths: ReadonlySet<string>;
  /** The time that the flow's own calls on the path took, milliseconds. The flow spent the rest between them. */
  readonly busyMs: number;
}

interface Timed {
  readonly node: TaskNode;
  readonly startedMs: number;
  readonly endedMs: number;
}

/** The time of a call. Null: it has not started, or its result was reused, which takes no time. */
function timed(node: TaskNode, now: number): Timed | null {
  const { startedAt, endedAt, reused } = node.task;
  if (startedAt === null || reused) return null;
  const startedMs = Date.parse(startedAt);
  // There are two clocks. A call that started after this one's time, or ended before it started, took no time.
  const endedMs = Math.max(startedMs, endedAt === null ? now : Date.parse(endedAt));
  return { node, startedMs, endedMs };
}

/** Sorts by the end. Calls that ended together keep their order. */
function byEnd(a: Timed, b: Timed): number {
  return a.endedMs - b.endedMs || a.node.task.order - b.node.task.order;
}

/** The number of calls in `sorted` that ended before a call started. */
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
 * The chain among the calls of one parent, from the last to the first. Each call is assumed to have waited for the call
 * that ended last before it started: for its result, or for its slot.
 */
function chainOf(nodes: readonly TaskNode[], now: number): Timed[] {
  const sorted = nodes.flatMap((node) => timed(node, now) ?? []).sort(byEnd);
  const chain: Timed[] = [];
  // Of calls that are all running, the one that started first.
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
 * The calls of a run or an attempt that decided its duration. Task records have the times and the parent of a call, not whose
 * results it used. So the path is computed from times, backwards from the call that ended last, and then inside each
 * call on it.
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
