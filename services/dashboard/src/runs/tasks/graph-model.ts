import type { TaskRun, TaskRunState } from "@towpath/contract";
import type { TaskNode } from "./task-tree.ts";
import { countsOf, groupsOf } from "./waterfall-rows.ts";

/** The most nodes of a graph. A larger graph is hard to read, and its layout takes seconds. */
export const GRAPH_NODES_MAX = 300;

/** A call in the graph, or several calls of one task. */
export interface GraphNode {
  readonly id: string;
  readonly name: string;
  readonly tasks: readonly TaskRun[];
  readonly counts: readonly (readonly [TaskRunState, number])[];
}

/** `after`: a call started after another had ended. `calls`: a call was made by another. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly kind: "after" | "calls";
}

/** The calls of an attempt as boxes and arrows. */
export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  /** Nodes that were left out. */
  readonly left: number;
}

interface Ended {
  readonly task: TaskRun;
  readonly endedMs: number;
}

const createdMs = ({ createdAt }: TaskRun): number => Date.parse(createdAt);

/** Whether a call had ended when another was made, so that its result could be used. */
function isBefore(one: Ended, other: TaskRun): boolean {
  const at = createdMs(other);
  return one.endedMs < at || (one.endedMs === at && one.task.order < other.order);
}

/** The last call that had ended when another was made. */
function lastBefore(ended: readonly Ended[], call: TaskRun): TaskRun | undefined {
  let [low, high] = [0, ended.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = ended[middle];
    if (one !== undefined && isBefore(one, call)) low = middle + 1;
    else high = middle;
  }
  return ended[low - 1]?.task;
}

/** Builds a graph parent by parent: the calls of one call, or of the flow itself. */
class Draft {
  readonly nodes = new Map<string, { name: string; tasks: TaskRun[] }>();
  readonly edges = new Map<string, GraphEdge>();
  readonly #nodeOf = new Map<string, string>();

  #edge(from: string | undefined, to: string | undefined, kind: GraphEdge["kind"]): void {
    if (from === undefined || to === undefined || from === to || this.edges.has(`${to} ${from}`)) return;
    const key = `${from} ${to}`;
    if (!this.edges.has(key)) this.edges.set(key, { from, to, kind });
  }

  /** Adds the calls of one parent. The calls of a group share the children of their node. */
  add(siblings: readonly TaskNode[], parent: string | null): void {
    const inGroup = parent !== null && (this.nodes.get(parent)?.tasks.length ?? 0) > 1;
    for (const { name, nodes: calls } of groupsOf(siblings)) {
      const own = calls[0]?.task.path ?? name;
      const id = inGroup || calls.length > 1 ? `${parent ?? ""}//${name}` : own;
      const node = this.nodes.get(id) ?? { name, tasks: [] };
      this.nodes.set(id, node);
      for (const { task } of calls) {
        node.tasks.push(task);
        this.#nodeOf.set(task.path, id);
      }
    }
    this.#order(
      siblings.map((node) => node.task),
      parent,
    );
    for (const node of siblings)
      if (node.children.length > 0) this.add(node.children, this.#nodeOf.get(node.task.path) ?? null);
  }

  /**
   * Adds arrows from the call that ended last before another was made. A call that would have no arrow gets one to the
   * first call made after its end.
   */
  #order(tasks: readonly TaskRun[], parent: string | null): void {
    const ended = tasks
      .flatMap((task) => (task.endedAt === null ? [] : [{ task, endedMs: Date.parse(task.endedAt) }]))
      .sort((a, b) => a.endedMs - b.endedMs || a.task.order - b.task.order);
    const followed = new Set<string | undefined>();
    for (const call of tasks) {
      const before = lastBefore(ended, call);
      const [from, to] = [before && this.#nodeOf.get(before.path), this.#nodeOf.get(call.path)];
      if (before === undefined && parent !== null) this.#edge(parent, to, "calls");
      this.#edge(from, to, "after");
      if (from !== to) followed.add(from);
    }
    const made = tasks.toSorted((a, b) => createdMs(a) - createdMs(b) || a.order - b.order);
    for (const one of ended.toReversed()) {
      const from = this.#nodeOf.get(one.task.path);
      if (followed.has(from)) continue;
      followed.add(from);
      const next = made.find((call) => isBefore(one, call) && this.#nodeOf.get(call.path) !== from);
      this.#edge(from, next && this.#nodeOf.get(next.path), "after");
    }
  }
}

/**
 * The graph of an attempt's calls. Records do not have whose results a call used, so arrows come from times: from the
 * call that ended last before another of the same parent was made, and from a call to its own first calls. A branch
 * without such an arrow points to the first call made after its end, which joined it.
 */
export function graphOf(roots: readonly TaskNode[]): Graph {
  const draft = new Draft();
  draft.add(roots, null);
  const all = [...draft.nodes].map(
    ([id, { name, tasks }]): GraphNode => ({ id, name, tasks, counts: countsOf(tasks) }),
  );
  const nodes = all.slice(0, GRAPH_NODES_MAX);
  const shown = new Set(nodes.map(({ id }) => id));
  const edges = [...draft.edges.values()].filter(({ from, to }) => shown.has(from) && shown.has(to));
  return { nodes, edges, left: all.length - nodes.length };
}

/** The state that represents several calls: the worst failure, else an active state, else the final one. */
export function stateOf({ counts }: Pick<GraphNode, "counts">): TaskRunState {
  const order: TaskRunState[] = [
    "failed",
    "crashed",
    "retrying",
    "running",
    "suspended",
    "pending",
    "cancelled",
  ];
  return order.find((state) => counts.some(([one]) => one === state)) ?? "completed";
}

/** The call to look at first. */
export function firstOf(node: GraphNode): TaskRun | undefined {
  const state = stateOf(node);
  return node.tasks.find((task) => task.state === state) ?? node.tasks[0];
}
