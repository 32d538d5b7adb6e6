import { TASK_RUN_STATES, type TaskRun, type TaskRunState } from "@towpath/contract";

/** As many calls of one task, or more, stand together as one row. */
const GROUP_MIN = 6;

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

/** How many task calls a call stands in. */
function depthOf(task: TaskRun, paths: ReadonlySet<string>): number {
  const parts = task.path.split("/");
  return parts.filter((_, index) => index > 0 && paths.has(parts.slice(0, index).join("/"))).length;
}

function countsOf(tasks: readonly TaskRun[]): (readonly [TaskRunState, number])[] {
  const byState = Map.groupBy(tasks, (task) => task.state);
  return TASK_RUN_STATES.flatMap((state) => {
    const count = byState.get(state)?.length ?? 0;
    return count === 0 ? [] : [[state, count] as const];
  });
}

/** The rows of task calls in order of appearance; the calls of tasks in `open` each have one of their own. */
export function rowsOf(tasks: readonly TaskRun[], open: ReadonlySet<string>): Row[] {
  const ordered = tasks.toSorted((a, b) => a.order - b.order);
  const paths = new Set(ordered.map((task) => task.path));
  const byName = Map.groupBy(ordered, (task) => task.name);
  const rows: Row[] = [];
  for (const task of ordered) {
    const calls = byName.get(task.name) ?? [];
    const call = { kind: "call", id: `${task.attemptId} ${task.path}`, task } as const;
    if (calls.length < GROUP_MIN) {
      rows.push({ ...call, depth: depthOf(task, paths), item: null });
      continue;
    }
    const isOpen = open.has(task.name);
    if (calls[0] === task) {
      const group = { kind: "group", id: `group ${task.name}`, name: task.name, tasks: calls } as const;
      rows.push({ ...group, counts: countsOf(calls), open: isOpen });
    }
    if (isOpen) rows.push({ ...call, depth: 1, item: task.path.split(/[/#]/).at(-1) ?? null });
  }
  return rows;
}
