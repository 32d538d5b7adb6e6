import type { TaskRun, TaskRunState } from "@towpath/contract";
import type { TaskNode } from "./task-tree.ts";
import { countsOf, groupsOf } from "./waterfall-rows.ts";

/** The most nodes of a graph. A larger graph is hard to read, and its layout takes seconds. */
export const GRAPH_NODES_MAX = 300;
/** The most arrows of a graph, for the same reason. */
export const GRAPH_EDGES_MAX = 600;

/** A call in the graph, or several calls of one task. */
export interface GraphNode {
  readonly id: string;
  readonly name: string;
  readonly tasks: readonly TaskRun[];
  readonly counts: readonly (readonly [TaskRunState, number])[];
  /** The names of the boxes that it received data from. */
  readonly from: readonly string[];
  /** Whether one of its calls received data from another of its calls. */
  readonly isChain: boolean;
}

/** `data`: a call received what another returned. `calls`: a call was made by another. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly kind: "data" | "calls";
}

/** The calls of a run or an attempt as boxes and arrows. */
export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  /** Nodes that were left out. */
  readonly left: number;
  /** Arrows between shown nodes that were left out. */
  readonly edgesLeft: number;
}

/** Builds a graph parent by parent: the calls of one call, or of the flow itself. */
class Draft {
  readonly nodes = new Map<string, { name: string; tasks: TaskRun[]; from: Set<string> }>();
  readonly edges = new Map<string, GraphEdge>();
  readonly chains = new Set<string>();
  readonly #nodeOf = new Map<string, string>();
  /** The nodes with the calls of each map. */
  readonly #nodesOfMap = new Map<string, Set<string>>();

  /** Adds the calls of one parent. The calls of a group share the children of their node. */
  add(siblings: readonly TaskNode[], parent: string | null): void {
    const inGroup = parent !== null && (this.nodes.get(parent)?.tasks.length ?? 0) > 1;
    for (const { name, nodes: calls } of groupsOf(siblings)) {
      const own = calls[0]?.task.path ?? name;
      const id = inGroup || calls.length > 1 ? `${parent ?? ""}//${name}` : own;
      const node = this.nodes.get(id) ?? { name, tasks: [], from: new Set() };
      this.nodes.set(id, node);
      for (const { task } of calls) {
        node.tasks.push(task);
        this.#place(task.path, id);
      }
      if (parent !== null && parent !== id) this.#edge({ from: parent, to: id, kind: "calls" });
    }
    for (const node of siblings)
      if (node.children.length > 0) this.add(node.children, this.#nodeOf.get(node.task.path) ?? null);
  }

  #place(path: string, id: string): void {
    this.#nodeOf.set(path, id);
    const map = path.slice(0, path.lastIndexOf("/"));
    if (map === "" || this.#nodeOf.has(map)) return;
    const nodes = this.#nodesOfMap.get(map);
    if (nodes === undefined) this.#nodesOfMap.set(map, new Set([id]));
    else nodes.add(id);
  }

  /** Adds an arrow for the data of each call. */
  addData(): void {
    for (const [to, node] of this.nodes)
      for (const { upstream } of node.tasks)
        for (const path of upstream?.paths ?? [])
          for (const from of this.#nodesAt(path)) this.#data(from, to);
  }

  #nodesAt(path: string): Iterable<string> {
    const node = this.#nodeOf.get(path);
    return node === undefined ? (this.#nodesOfMap.get(path) ?? []) : [node];
  }

  #data(from: string, to: string): void {
    if (from === to) this.chains.add(to);
    else this.#edge({ from, to, kind: "data" });
  }

  /** Between two nodes, data comes before calls. */
  #edge(edge: GraphEdge): void {
    this.edges.set(`${edge.from} ${edge.to}`, edge);
    if (edge.kind === "data") this.nodes.get(edge.to)?.from.add(this.nodes.get(edge.from)?.name ?? edge.from);
  }
}

/**
 * The graph of the calls of a run or an attempt. A solid arrow leads from a call to each call that received an object or
 * a ref that it returned. A dashed arrow leads from a call to the calls that it made. Times do not matter.
 */
export function graphOf(roots: readonly TaskNode[]): Graph {
  const draft = new Draft();
  draft.add(roots, null);
  draft.addData();
  const all = [...draft.nodes].map(
    ([id, { name, tasks, from }]): GraphNode => ({
      id,
      name,
      tasks,
      counts: countsOf(tasks),
      from: [...from],
      isChain: draft.chains.has(id),
    }),
  );
  const nodes = all.slice(0, GRAPH_NODES_MAX);
  const shown = new Set(nodes.map(({ id }) => id));
  const edges = [...draft.edges.values()].filter(({ from, to }) => shown.has(from) && shown.has(to));
  return {
    nodes,
    edges: edges.slice(0, GRAPH_EDGES_MAX),
    left: all.length - nodes.length,
    edgesLeft: Math.max(0, edges.length - GRAPH_EDGES_MAX),
  };
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
