import type { Json, Run, TaskRun } from "@towpath/contract";

/** In what two calls of a task differ. */
export const ASPECTS = ["code", "input", "result", "state"] as const;
/** One of them. */
export type Aspect = (typeof ASPECTS)[number];

/** One task call in two runs, or in one of them. */
export interface TaskDifference {
  /** Its path without the hashes of inputs. */
  readonly label: string;
  readonly before: TaskRun | null;
  readonly after: TaskRun | null;
  readonly differs: readonly Aspect[];
}

/** A hash of an input where a path holds one. */
const HASH = /:([0-9a-f]{16})(?=\/|#|$)/g;

/** A task's path by the names and keys that people know, without the hashes of inputs. */
export function labelOf(path: string): string {
  return path.replaceAll(HASH, "");
}

function inputOf({ inputHash, path }: TaskRun): string {
  return inputHash ?? [...path.matchAll(HASH)].at(-1)?.[1] ?? "";
}

function differences(before: TaskRun, after: TaskRun): Aspect[] {
  const is: Record<Aspect, boolean> = {
    code: before.codeVersion !== after.codeVersion,
    input: inputOf(before) !== inputOf(after),
    result: before.result?.sha256 !== after.result?.sha256,
    state: before.state !== after.state,
  };
  return ASPECTS.filter((aspect) => is[aspect]);
}

/** The last word on each call: a later attempt's. */
function latest(tasks: readonly TaskRun[]): Map<string, TaskRun> {
  return new Map(tasks.map((task) => [task.path, task]));
}

/**
 * Pairs the task calls of two runs: those of one path, then, in their order, those whose paths differ by the hashes of their
 * inputs alone.
 */
export function diffTasks(before: readonly TaskRun[], after: readonly TaskRun[]): TaskDifference[] {
  const [old, now] = [latest(before), latest(after)];
  const left = new Map<string, TaskRun[]>();
  for (const task of now.values())
    if (!old.has(task.path)) left.set(labelOf(task.path), [...(left.get(labelOf(task.path)) ?? []), task]);
  const pairs = [...old.values()].map((task): TaskDifference => {
    const label = labelOf(task.path);
    const other = now.get(task.path) ?? left.get(label)?.shift() ?? null;
    return { label, before: task, after: other, differs: other === null ? [] : differences(task, other) };
  });
  const added = [...left.values()].flat();
  return [
    ...pairs,
    ...added.map((task) => ({ label: labelOf(task.path), before: null, after: task, differs: [] })),
  ];
}

/** The parameters in which two runs differ. */
export function diffParameters(before: Run, after: Run): { name: string; before?: Json; after?: Json }[] {
  const names = [...new Set([...Object.keys(before.parameters), ...Object.keys(after.parameters)])].sort();
  return names.flatMap((name) => {
    const [old, now] = [before.parameters[name], after.parameters[name]];
    if (JSON.stringify(old) === JSON.stringify(now)) return [];
    return [{ name, ...(old !== undefined && { before: old }), ...(now !== undefined && { after: now }) }];
  });
}
