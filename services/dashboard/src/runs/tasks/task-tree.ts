import type { TaskRun } from "@towpath/contract";

/** A task call with the calls that were made in it, in order of appearance. */
export interface TaskNode {
  readonly task: TaskRun;
  readonly children: readonly TaskNode[];
}

interface Growing extends TaskNode {
  readonly children: Growing[];
}

/** The nearest call that a path stands in: the longest beginning of it, up to a slash, that is a call itself. */
function parentOf(path: string, nodes: ReadonlyMap<string, Growing>): Growing | undefined {
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
    const found = nodes.get(path.slice(0, at));
    if (found) return found;
  }
  return undefined;
}

/** Task calls of one attempt as the tree that their paths tell, the flow's own calls at its roots. */
export function treeOf(tasks: readonly TaskRun[]): TaskNode[] {
  const ordered = tasks.toSorted((a, b) => a.order - b.order);
  const nodes = new Map(ordered.map((task): [string, Growing] => [task.path, { task, children: [] }]));
  const roots: Growing[] = [];
  for (const node of nodes.values()) (parentOf(node.task.path, nodes)?.children ?? roots).push(node);
  return roots;
}
