import type { FoldedTask } from "@towpath/client/attempt-tasks";

/** A task call with the calls that it made, in order of appearance. */
export interface TaskNode {
  readonly task: FoldedTask;
  readonly children: readonly TaskNode[];
}

interface Growing extends TaskNode {
  readonly children: Growing[];
}

/** The call that made this one: the longest prefix of its path, up to a slash, that is a call. */
function parentOf(path: string, nodes: ReadonlyMap<string, Growing>): Growing | undefined {
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
    const found = nodes.get(path.slice(0, at));
    if (found) return found;
  }
  return undefined;
}

/** The task calls of a run or of one attempt as a tree. Its roots are the flow's own calls. */
export function treeOf(tasks: readonly FoldedTask[]): TaskNode[] {
  const ordered = tasks.toSorted((a, b) => a.order - b.order);
  const nodes = new Map(ordered.map((task): [string, Growing] => [task.path, { task, children: [] }]));
  const roots: Growing[] = [];
  for (const node of nodes.values()) (parentOf(node.task.path, nodes)?.children ?? roots).push(node);
  return roots;
}
