import type { Attempt, TaskRun } from "@towpath/contract";

/** An attempt, as far as its tasks need it. */
export type AttemptOfTasks = Pick<Attempt, "id" | "startedAt">;

/** Whether some call that this one was part of was reused, which then stands for it. */
function isCovered(path: string, reused: ReadonlySet<string>): boolean {
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
    if (reused.has(path.slice(0, at))) return true;
  return false;
}

/** What earlier attempts have completed with a result that was kept, the latest under each path. */
function doneBefore(tasks: Iterable<TaskRun>, earlier: readonly AttemptOfTasks[]): Map<string, TaskRun> {
  const place = new Map(earlier.map(({ id }, index) => [id, index]));
  const done = new Map<string, TaskRun>();
  for (const task of tasks) {
    const at = place.get(task.attemptId);
    if (at === undefined || task.state !== "completed" || task.result === null) continue;
    const known = done.get(task.path);
    if (known === undefined || at >= (place.get(known.attemptId) ?? 0)) done.set(task.path, task);
  }
  return done;
}

/**
 * The task calls of one attempt: its own, and before them what earlier attempts completed and it does not run again. Those
 * are stored once, by the attempt that completed them.
 * @param attempts The attempt, behind all earlier ones of its run in their order.
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
