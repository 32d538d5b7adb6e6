import { HASH_IN_PATH, type Json, LIMITS, type Run, type TaskRun, taskPathLabel } from "@towpath/contract";
import type { Client } from "./client.ts";
import type { CallOptions } from "./request.ts";

/** The most task runs of each side that are compared. */
export const COMPARED_TASKS_MAX = 100_000;

/** The aspects in which two calls of a task can differ. */
const ASPECTS = ["code", "input", "result", "state"] as const;
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

function inputOf({ inputHash, path }: TaskRun): string {
  return inputHash ?? [...path.matchAll(HASH_IN_PATH)].at(-1)?.[1] ?? "";
}

/** The digits of a ref's hash that stand for its content. The others belong to the worker, and differ in each run. */
const CONTENT_CHARS = 32;

function contentOf({ result }: TaskRun): string | undefined {
  return result?.sha256.slice(0, CONTENT_CHARS);
}

function differences(before: TaskRun, after: TaskRun): Aspect[] {
  const is: Record<Aspect, boolean> = {
    code: before.codeVersion !== after.codeVersion,
    input: inputOf(before) !== inputOf(after),
    result: contentOf(before) !== contentOf(after),
    state: before.state !== after.state,
  };
  return ASPECTS.filter((aspect) => is[aspect]);
}

/** The latest attempt's row for each call. */
function latest(tasks: readonly TaskRun[]): Map<string, TaskRun> {
  return new Map(tasks.map((task) => [task.path, task]));
}

/**
 * Pairs the task calls of two runs. Calls with the same path come first. Then calls whose paths differ only by the hashes of
 * their inputs are paired in order.
 */
export function diffTasks(before: readonly TaskRun[], after: readonly TaskRun[]): TaskDifference[] {
  const [old, now] = [latest(before), latest(after)];
  const left = new Map<string, TaskRun[]>();
  for (const task of now.values())
    if (!old.has(task.path))
      left.set(taskPathLabel(task.path), [...(left.get(taskPathLabel(task.path)) ?? []), task]);
  const pairs = [...old.values()].map((task): TaskDifference => {
    const label = taskPathLabel(task.path);
    const other = now.get(task.path) ?? left.get(label)?.shift() ?? null;
    return { label, before: task, after: other, differs: other === null ? [] : differences(task, other) };
  });
  const added = [...left.values()].flat();
  return [
    ...pairs,
    ...added.map((task) => ({ label: taskPathLabel(task.path), before: null, after: task, differs: [] })),
  ];
}

/** How long a call ran, with all its tries, milliseconds. Null: it is running, or it reused a result. */
export function tookMs({ startedAt, endedAt, reused }: TaskRun): number | null {
  if (startedAt === null || endedAt === null || reused) return null;
  return Math.max(0, Date.parse(endedAt) - Date.parse(startedAt));
}

/** The differences of two runs: their parameters and their task calls. */
export interface RunDifference {
  readonly before: Run;
  readonly after: Run;
  readonly parameters: ReturnType<typeof diffParameters>;
  readonly tasks: readonly TaskDifference[];
  /** Whether a run has more task runs than were compared. */
  readonly isCut: boolean;
}

async function readSide(client: Pick<Client, "getRun" | "listTaskRuns">, args: Side, options: CallOptions) {
  const params = { runId: args.runId };
  const run = await client.getRun({ params }, options);
  const tasks: TaskRun[] = [];
  let next: string | null = "";
  while (next !== null && tasks.length < args.tasksMax) {
    const query = { limit: LIMITS.pageRows, ...(next === "" ? {} : { cursor: next }) };
    const page: { items: TaskRun[]; next: string | null } = await client.listTaskRuns(
      { params, query },
      options,
    );
    tasks.push(...page.items);
    next = page.next;
  }
  return { run, tasks, isCut: next !== null };
}

interface Side {
  readonly runId: string;
  readonly tasksMax: number;
}

/**
 * Reads two runs and pairs their task calls.
 * @param args.tasksMax of each run. @default COMPARED_TASKS_MAX
 * @throws Problem `run-not-found`.
 */
export async function compareRuns(
  client: Pick<Client, "getRun" | "listTaskRuns">,
  args: { before: string; after: string; tasksMax?: number },
  options: CallOptions = {},
): Promise<RunDifference> {
  const { tasksMax = COMPARED_TASKS_MAX } = args;
  const before = await readSide(client, { runId: args.before, tasksMax }, options);
  const after = await readSide(client, { runId: args.after, tasksMax }, options);
  return {
    before: before.run,
    after: after.run,
    parameters: diffParameters(before.run, after.run),
    tasks: diffTasks(before.tasks, after.tasks),
    isCut: before.isCut || after.isCut,
  };
}

/** The parameters in which two runs differ. */
function diffParameters(before: Run, after: Run): { name: string; before?: Json; after?: Json }[] {
  const names = [...new Set([...Object.keys(before.parameters), ...Object.keys(after.parameters)])].sort();
  return names.flatMap((name) => {
    const [old, now] = [before.parameters[name], after.parameters[name]];
    if (JSON.stringify(old) === JSON.stringify(now)) return [];
    return [{ name, ...(old !== undefined && { before: old }), ...(now !== undefined && { after: now }) }];
  });
}
