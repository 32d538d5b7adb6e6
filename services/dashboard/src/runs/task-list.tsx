import type { TaskRun } from "@towpath/contract";
import { elapsed } from "../kernel/format.ts";
import { StateBadge } from "./state-badge.tsx";

/** The task runs of a run, in order of appearance. */
export function TaskList({ tasks, now }: { tasks: readonly TaskRun[]; now: number }) {
  if (tasks.length === 0) return <p className="quiet">No task has been called yet.</p>;
  const ordered = tasks.toSorted((a, b) => a.createdAt.localeCompare(b.createdAt) || a.order - b.order);
  return (
    <ol className="tasks">
      {ordered.map((task) => (
        <li key={`${task.attemptId} ${task.path}`}>
          <StateBadge state={task.state} />
          <span className="task-name" title={task.path}>
            {task.name}
          </span>
          {task.reused && <span className="quiet">reused result</span>}
          {task.tries > 1 && <span className="quiet">try {task.tries}</span>}
          <span className="number">{elapsed({ ...task, now })}</span>
          {task.error && <pre className="error">{task.error.message}</pre>}
        </li>
      ))}
    </ol>
  );
}
