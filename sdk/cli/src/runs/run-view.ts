import { tasksOfAttempt } from "@towpath/client/attempt-tasks";
import type { Artifact, ArtifactBody, LogPage, RunStreamEvent, RunSummary, TaskRun } from "@towpath/contract";

/** A line or gap of a log. */
export type LogEntry = LogPage["entries"][number];

/** The state of a run that is being followed. */
export interface RunView {
  readonly run: RunSummary | null;
  /** Tasks of the latest attempt, by path, in order of appearance. */
  readonly tasks: ReadonlyMap<string, TaskRun>;
  readonly artifacts: ReadonlyMap<string, Artifact>;
  readonly ended: boolean;
}

/** Before the first event. */
export const EMPTY_VIEW: RunView = { run: null, tasks: new Map(), artifacts: new Map(), ended: false };

/** Applies one event. Pure, so that a terminal, a pipe and a test see the same. */
export function applyEvent(view: RunView, event: RunStreamEvent): RunView {
  switch (event.event) {
    case "begin":
      return EMPTY_VIEW;
    case "run":
      return { ...view, run: event.data };
    case "task":
      return { ...view, tasks: withTask(view.tasks, event.data) };
    case "artifact":
      return { ...view, artifacts: new Map(view.artifacts).set(event.data.key, event.data) };
    case "log":
    case "log-end":
      return view;
    case "end":
      return { ...view, ended: true, run: view.run && { ...view.run, state: event.data.state } };
  }
}

/** A new attempt starts its own list of tasks. Of earlier attempts only reused tasks stay. */
function withTask(tasks: RunView["tasks"], task: TaskRun): RunView["tasks"] {
  const [first] = tasks.values();
  if (first === undefined || first.attemptId === task.attemptId) return new Map(tasks).set(task.path, task);
  const attempts = [
    { id: first.attemptId, startedAt: null },
    { id: task.attemptId, startedAt: task.createdAt },
  ];
  return new Map(tasksOfAttempt([...tasks.values(), task], attempts).map((one) => [one.path, one]));
}

/** The body of an artifact of one kind. */
export type BodyOf<Kind extends ArtifactBody["kind"]> = Extract<ArtifactBody, { kind: Kind }>;

/** All progress artifacts with their bodies. */
export function progressOf(view: RunView): { title: string; body: BodyOf<"progress"> }[] {
  return [...view.artifacts.values()].flatMap(({ title, key, body }) =>
    body.kind === "progress" ? [{ title: title || key, body }] : [],
  );
}
