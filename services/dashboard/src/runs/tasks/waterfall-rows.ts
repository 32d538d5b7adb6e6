import { TASK_RUN_STATES, type TaskRun, type TaskRunState } from "@towpath/contract";
import type { TaskNode } from "./task-tree.ts";

/** As many calls of one task in one place, or more, stand together as one row. */
export const GROUP_MIN = 6;

/** One row of the waterfall: a task call, or many calls of one task. */
export type Row =
  | {
      readonly kind: "call";
      readonly id: string;
      readonly task: TaskRun;
      readonly depth: number;
      /** Within an opened group, what tells it from the others. */
      readonly item: string | null;
    }
  | {
      readonly kind: "group";
      readonly id: string;
      readonly name: string;
      readonly depth: number;
      readonly tasks: readonly TaskRun[];
      readonly counts: readonly (readonly [TaskRunState, number])[];
      readonly open: boolean;
    };

/** A span of time, milliseconds since 1970. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** From the first call's creation until the last end, or now. */
export function spanOf(tasks: readonly TaskRun[], now: number): Span {
  let [fromMs, toMs] = [Number.POSITIVE_INFINITY, 0];
  for (const task of tasks) {
    fromMs = Math.min(fromMs, Date.parse(task.createdAt));
    toMs = Math.max(toMs, task.endedAt === null ? now : Date.parse(task.endedAt));
  }
  return { fromMs, toMs };
}

/** How many calls are in each state, in the order of states; those of none are left out. */
export function countsOf(tasks: readonly TaskRun[]): (readonly [TaskRunState, number])[] {
  const counts = new Map<TaskRunState, number>();
  for (const { state } of tasks) counts.set(state, (counts.get(state) ?? 0) + 1);
  return TASK_RUN_STATES.flatMap((state) => {
    const count = counts.get(state);
    return count === undefined ? [] : [[state, count] as const];
  });
}

/** What tells a call from the others of its group: the last part of its path. */
export function itemOf(path: string): string {
  return path.split(/[/#]/).at(-1) ?? path;
}

/** Calls of one place, those of a task that was called often together, in the order of their first. */
export function groupsOf(nodes: readonly TaskNode[]): { name: string; nodes: TaskNode[] }[] {
  const byName = Map.groupBy(nodes, (node) => node.task.name);
  return nodes.flatMap((node) => {
    const { name } = node.task;
    const calls = byName.get(name) ?? [];
    if (calls.length < GROUP_MIN) return [{ name, nodes: [node] }];
    return calls[0] === node ? [{ name, nodes: calls }] : [];
  });
}

/** The rows of a tree of calls in order of appearance. Of the groups in `open` each call has a row of its own. */
export function rowsOf(roots: readonly TaskNode[], open: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const addCall = (node: TaskNode, args: { depth: number; item: string | null }) => {
    rows.push({ kind: "call", id: node.task.path, task: node.task, ...args });
    add(node.children, { depth: args.depth + 1, place: node.task.path });
  };
  const add = (nodes: readonly TaskNode[], args: { depth: number; place: string }) => {
    for (const { name, nodes: calls } of groupsOf(nodes)) {
      const [only] = calls;
      if (calls.length === 1 && only) {
        addCall(only, { depth: args.depth, item: null });
        continue;
      }
      const id = `${args.place}//${name}`;
      const tasks = calls.map((node) => node.task);
      const isOpen = open.has(id);
      rows.push({ kind: "group", id, name, depth: args.depth, tasks, counts: countsOf(tasks), open: isOpen });
      if (isOpen)
        for (const node of calls) addCall(node, { depth: args.depth + 1, item: itemOf(node.task.path) });
    }
  };
  add(roots, { depth: 0, place: "" });
  return rows;
}

/** The groups that must be open for a call to have a row of its own. */
export function groupsAround(roots: readonly TaskNode[], path: string): string[] {
  const around: string[] = [];
  const find = (nodes: readonly TaskNode[], place: string): boolean =>
    groupsOf(nodes).some(({ name, nodes: calls }) => {
      const found = calls.some(
        (node) =>
          node.task.path === path ||
          (path.startsWith(`${node.task.path}/`) && find(node.children, node.task.path)),
      );
      if (found && calls.length > 1) around.push(`${place}//${name}`);
      return found;
    });
  find(roots, "");
  return around;
}

/** Stretches of time in which at least one of these calls ran, those that a screen could not tell apart together. */
export function busySpans(tasks: readonly TaskRun[], args: { now: number; gapMs: number }): Span[] {
  const spans = tasks
    .flatMap(({ startedAt, endedAt }) => {
      if (startedAt === null) return [];
      return [{ fromMs: Date.parse(startedAt), toMs: endedAt === null ? args.now : Date.parse(endedAt) }];
    })
    .sort((one, other) => one.fromMs - other.fromMs);
  const merged: { fromMs: number; toMs: number }[] = [];
  for (const span of spans) {
    const last = merged.at(-1);
    if (last === undefined || span.fromMs > last.toMs + args.gapMs) merged.push({ ...span });
    else last.toMs = Math.max(last.toMs, span.toMs);
  }
  return merged;
}
