import { type Attempt, failureStands, type TaskRun } from "@towpath/contract";

/** A task call, with the same call in earlier attempts of the run. */
export interface FoldedTask extends TaskRun {
  /** The same call in earlier attempts, which did not complete it, oldest first. Absent: there is none. */
  readonly earlier?: readonly TaskRun[];
}

/** An attempt, as far as its tasks need it. */
export type AttemptOfTasks = Pick<Attempt, "id" | "startedAt"> & Partial<Pick<Attempt, "state">>;

/** Whether a call that contains this one was reused. Then the reused call represents both. */
function isCovered(path: string, reused: ReadonlySet<string>): boolean {
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
    if (reused.has(path.slice(0, at))) return true;
  return false;
}

/**
 * The calls of earlier attempts that do not run again, the latest under each path: calls with a kept result, and failures
 * that the flow handled. A failure that ended its attempt cancels an earlier failure of the same path.
 */
function doneBefore(tasks: Iterable<TaskRun>, earlier: readonly AttemptOfTasks[]): Map<string, TaskRun> {
  const place = new Map(earlier.map(({ id, state }, index) => [id, { index, state }]));
  const placeOf = (task: TaskRun) => place.get(task.attemptId)?.index ?? 0;
  const left = [...tasks].filter(({ attemptId }) => place.has(attemptId));
  const done = new Map<string, TaskRun>();
  for (const task of left.sort((a, b) => placeOf(a) - placeOf(b))) {
    const stands = failureStands(task, place.get(task.attemptId)?.state);
    if (stands || (task.state === "completed" && task.result !== null)) done.set(task.path, task);
    else if (task.state === "failed" && done.get(task.path)?.state === "failed") done.delete(task.path);
  }
  return done;
}

/**
 * The task calls of one attempt. The calls that it reuses come first, then its own calls. A reused call is stored once, with
 * the attempt that ran it.
 * @param attempts All attempts of the run in their order, up to and including this attempt.
 */
export function tasksOfAttempt(
  tasks: readonly TaskRun[],
  attempts: readonly AttemptOfTasks[],
): readonly TaskRun[] {
  const chosen = attempts.at(-1);
  if (chosen === undefined) return [];
  const own = tasks.filter((task) => task.attemptId === chosen.id);
  const done = doneBefore(tasks, attempts.slice(0, -1));
  if (done.size === 0) return own;
  for (const task of own) done.delete(task.path);
  const paths = new Set([...done.keys(), ...own.flatMap((task) => (task.reused ? [task.path] : []))]);
  const reused = [...done.values()].filter((task) => !isCovered(task.path, paths));
  const at = chosen.startedAt ?? own[0]?.createdAt ?? null;
  return [
    ...reused.map((task, index): TaskRun => {
      const times = at === null ? {} : { createdAt: at, startedAt: at, endedAt: at };
      const order = index - reused.length;
      return { ...task, ...times, order, attemptId: chosen.id, reused: true, tries: 0, tryList: [] };
    }),
    ...own,
  ];
}

/** One row for the calls of one path. A reused call is shown as the call that ran, unless that was in another run. */
function folded(calls: readonly TaskRun[], order: number): FoldedTask[] {
  const ran = calls.filter(({ reused }) => !reused);
  const [latest, ranLast] = [calls.at(-1), ran.at(-1)];
  if (latest === undefined) return [];
  const isOutcome = ranLast?.state === "completed" || ranLast?.state === "failed";
  const shown = latest.reused && ranLast !== undefined && isOutcome ? ranLast : latest;
  const earlier = ran.filter((call) => call !== shown);
  return [{ ...shown, order, ...(earlier.length > 0 && { earlier }) }];
}

/**
 * The task calls of a whole run: each path once, at the time when it ran, in the order of its first call. The latest call
 * counts, and has those of earlier attempts in `earlier`.
 * @param attempts All attempts of the run, in their order.
 * @returns The same objects for a run with one attempt: screens draw again what has changed.
 */
export function tasksOfRun(
  tasks: readonly TaskRun[],
  attempts: readonly Pick<Attempt, "id">[],
): readonly FoldedTask[] {
  if (tasks.every(({ attemptId }) => attemptId === tasks[0]?.attemptId)) return tasks;
  const places = new Map(attempts.map(({ id }, index) => [id, index]));
  // An attempt that is not listed yet is newer than those that are.
  const placeOf = ({ attemptId }: TaskRun) => places.get(attemptId) ?? attempts.length;
  const ordered = tasks.toSorted((a, b) => placeOf(a) - placeOf(b) || a.order - b.order);
  return [...Map.groupBy(ordered, ({ path }) => path).values()].flatMap(folded);
}

/**
 * The time that a run spent in its attempts, milliseconds: without retry delays, and without the time between two attempts, in
 * which the run waited for an answer, an event or a slot. Null: it has not started.
 */
export function workingMs(
  attempts: readonly Pick<Attempt, "startedAt" | "endedAt">[],
  nowMs: number,
): number | null {
  const times = attempts.flatMap(({ startedAt, endedAt }) =>
    startedAt === null ? [] : [(endedAt === null ? nowMs : Date.parse(endedAt)) - Date.parse(startedAt)],
  );
  return times.length === 0 ? null : times.reduce((sum, ms) => sum + Math.max(0, ms), 0);
}
