import type { FoldedTask } from "@towpath/client/attempt-tasks";
import { dataTimeText, TASK_RUN_STATES, type TaskRun, type TaskRunState } from "@towpath/contract";
import { elapsedMs } from "../../kernel/format.ts";
import type { TaskNode } from "./task-tree.ts";

/** From this number on, the calls of one task with the same parent share a row. */
export const GROUP_MIN = 6;

/** One row of the waterfall: a task call, or several calls of one task. */
export type Row =
  | {
      readonly kind: "call";
      readonly id: string;
      readonly task: FoldedTask;
      readonly depth: number;
      /** The name of the call within its open group. */
      readonly item: string | null;
    }
  | {
      readonly kind: "group";
      readonly id: string;
      readonly name: string;
      readonly depth: number;
      readonly tasks: readonly FoldedTask[];
      readonly counts: readonly (readonly [TaskRunState, number])[];
      readonly open: boolean;
    };

/** A time span, milliseconds since 1970. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** From the first creation to the last end, or now. */
export function spanOf(tasks: readonly TaskRun[], now: number): Span {
  let [fromMs, toMs] = [Number.POSITIVE_INFINITY, 0];
  for (const task of tasks) {
    fromMs = Math.min(fromMs, Date.parse(task.createdAt));
    toMs = Math.max(toMs, task.endedAt === null ? now : Date.parse(task.endedAt));
  }
  return { fromMs, toMs };
}

/** A call in every attempt that made it, oldest first. */
export function callsOf(task: FoldedTask): readonly TaskRun[] {
  return task.earlier === undefined ? [task] : [...task.earlier, task];
}

/** How long a call took in all attempts together, milliseconds. Null: it has not started. */
export function tookMs(task: FoldedTask, now: number): number | null {
  const times = callsOf(task).flatMap((call) => elapsedMs({ ...call, now }) ?? []);
  return times.length === 0 ? null : times.reduce((sum, ms) => sum + ms, 0);
}

/** The kinds of time that a call spends on its data. */
export const DATA_KINDS = ["hash", "load", "save"] as const;
export type DataKind = (typeof DATA_KINDS)[number];

/** A part of a call's bars in which it handled data, with the length and size as a text. */
export interface DataSpan extends Span {
  readonly kind: DataKind;
  readonly text: string;
}

/**
 * When a call handled data. Only totals are known: hashing came first, loading is drawn from the start, and saving up to the end.
 */
export function dataSpansOf({ dataTime, createdAt, startedAt, endedAt }: TaskRun): DataSpan[] {
  if (dataTime === undefined || startedAt === null || endedAt === null) return [];
  const { hashMs = 0, loadMs = 0, loadBytes, saveMs = 0, saveBytes } = dataTime;
  const [calledMs, beganMs, endMs] = [createdAt, startedAt, endedAt].map((at) => Date.parse(at));
  if (calledMs === undefined || beganMs === undefined || endMs === undefined) return [];
  const loadedMs = Math.min(beganMs + loadMs, endMs);
  const spans: Record<DataKind, DataSpan> = {
    hash: {
      kind: "hash",
      fromMs: calledMs,
      toMs: Math.min(calledMs + hashMs, beganMs),
      text: dataTimeText({ hashMs }),
    },
    load: { kind: "load", fromMs: beganMs, toMs: loadedMs, text: dataTimeText({ loadMs, loadBytes }) },
    save: {
      kind: "save",
      fromMs: Math.max(endMs - saveMs, loadedMs),
      toMs: endMs,
      text: dataTimeText({ saveMs, saveBytes }),
    },
  };
  return DATA_KINDS.flatMap((kind) => (spans[kind].toMs > spans[kind].fromMs ? [spans[kind]] : []));
}

/** The number of calls in each state, in the order of states, without zeros. */
export function countsOf(tasks: readonly TaskRun[]): (readonly [TaskRunState, number])[] {
  const counts = new Map<TaskRunState, number>();
  for (const { state } of tasks) counts.set(state, (counts.get(state) ?? 0) + 1);
  return TASK_RUN_STATES.flatMap((state) => {
    const count = counts.get(state);
    return count === undefined ? [] : [[state, count] as const];
  });
}

/** The name of a call within its group: the last part of its path. */
export function itemOf(path: string): string {
  return path.split(/[/#]/).at(-1) ?? path;
}

/** The calls of one parent. Frequent tasks are grouped at the position of their first call. */
export function groupsOf(nodes: readonly TaskNode[]): { name: string; nodes: TaskNode[] }[] {
  const byName = Map.groupBy(nodes, (node) => node.task.name);
  return nodes.flatMap((node) => {
    const { name } = node.task;
    const calls = byName.get(name) ?? [];
    if (calls.length < GROUP_MIN) return [{ name, nodes: [node] }];
    return calls[0] === node ? [{ name, nodes: calls }] : [];
  });
}

/** The rows of a tree of calls. Groups in `open` have a row for each call. */
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

/** The groups that must be open to show a call. */
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

/** The spans in which at least one of these calls ran. Spans with a small gap are merged. */
export function busySpans(tasks: readonly FoldedTask[], args: { now: number; gapMs: number }): Span[] {
  const spans = tasks
    .flatMap(callsOf)
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
