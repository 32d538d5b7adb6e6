import type { Artifact, RunEvent, TaskRun } from "@towpath/contract";

/** Everything known of a run, for a tab that joins later: the latest version of each thing. */
export class RunSoFar {
  /** The position of the stream in this run. Null until it is known. */
  place: string | null = null;
  /** Whether all events have been sent, or the run was refused. Then it is not requested again. */
  ended = false;
  /** The reason why the run cannot be followed. */
  refusal: { readonly code: string; readonly detail: string } | null = null;
  readonly #lasts = new Map<"run" | "log-end" | "end", RunEvent>();
  readonly #tasks = new Map<string, TaskRun>();
  readonly #artifacts = new Map<string, Artifact>();

  /** Adds one event. Log lines are not kept: tabs read them when they are in view. */
  add(event: RunEvent): void {
    if (event.event === "task") this.#tasks.set(`${event.data.attemptId} ${event.data.path}`, event.data);
    else if (event.event === "artifact") this.#artifacts.set(event.data.key, event.data);
    else if (event.event !== "log") this.#lasts.set(event.event, event);
    if (event.event === "end") this.ended = true;
  }

  /** Everything as events, in a valid order. */
  events(): RunEvent[] {
    const last = (name: "run" | "log-end" | "end") => this.#lasts.get(name) ?? [];
    return [
      last("run"),
      [...this.#tasks.values()].map((data): RunEvent => ({ event: "task", data })),
      [...this.#artifacts.values()].map((data): RunEvent => ({ event: "artifact", data })),
      last("log-end"),
      last("end"),
    ].flat();
  }
}
