import {
  type Artifact,
  type ArtifactBody,
  FINAL_TASK_RUN_STATES,
  type LogPage,
  type RunStreamEvent,
  type RunSummary,
  type TaskRun,
} from "@towpath/contract";

/** A line or gap of a log. */
export type LogEntry = LogPage["entries"][number];

/** Whether a task run has ended. */
export function isOver(task: TaskRun): boolean {
  return FINAL_TASK_RUN_STATES.includes(task.state);
}

/**
 * The state of a run that is being followed. Each event changes it in place. It keeps only the open tasks, so a run of
 * very many tasks costs no more for each event than a small one.
 */
export class RunView {
  run: RunSummary | null = null;
  readonly artifacts: Map<string, Artifact> = new Map();
  /** The tasks of the latest attempt that have not ended, by path, in order of appearance. */
  readonly open: Map<string, TaskRun> = new Map();
  #attemptId = "";

  /** Applies one event. */
  apply(event: RunStreamEvent): void {
    switch (event.event) {
      case "begin":
        this.run = null;
        this.#attemptId = "";
        this.artifacts.clear();
        this.open.clear();
        return;
      case "run":
        this.run = event.data;
        return;
      case "task":
        this.#applyTask(event.data);
        return;
      case "artifact":
        this.artifacts.set(event.data.key, event.data);
        return;
      case "log":
      case "log-end":
        return;
      case "end":
        this.run = this.run && { ...this.run, state: event.data.state };
    }
  }

  /** Ids of attempts rise. A new attempt starts its own list of tasks. */
  #applyTask(task: TaskRun): void {
    if (task.attemptId < this.#attemptId) return;
    if (task.attemptId > this.#attemptId) this.open.clear();
    this.#attemptId = task.attemptId;
    if (isOver(task)) this.open.delete(task.path);
    else this.open.set(task.path, task);
  }
}

/** The body of an artifact of one kind. */
export type BodyOf<Kind extends ArtifactBody["kind"]> = Extract<ArtifactBody, { kind: Kind }>;

/** All progress artifacts with their bodies. */
export function progressOf(view: RunView): { title: string; body: BodyOf<"progress"> }[] {
  return [...view.artifacts.values()].flatMap(({ title, key, body }) =>
    body.kind === "progress" ? [{ title: title || key, body }] : [],
  );
}
