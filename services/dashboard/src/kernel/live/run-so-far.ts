import type { Artifact, RunEvent, TaskRun } from "@towpath/contract";

/** What has been told of a run, summed up for a tab that joins later: the last of each thing. */
export class RunSoFar {
  /** Where the stream stands in it; null until that is known. */
  place: string | null = null;
  /** Whether all of it was told, or it was refused: nothing more is asked for. */
  ended = false;
  /** Why it cannot be followed. */
  refusal: { readonly code: string; readonly detail: string } | null = null;
  readonly #lasts = new Map<"run" | "log-end" | "end", RunEvent>();
  readonly #tasks = new Map<string, TaskRun>();
  readonly #artifacts = new Map<string, Artifact>();

  /** Takes one event more. Lines of its log are not among them: tabs read what is looked at. */
  add(event: RunEvent): void {
    if (event.event === "task") this.#tasks.set(`${event.data.attemptId} ${event.data.path}`, event.data);
    else if (event.event === "artifact") this.#artifacts.set(event.data.key, event.data);
    else if (event.event !== "log") this.#lasts.set(event.event, event);
    if (event.event === "end") this.ended = true;
  }

  /** All of it as events, in an order in which they can be told. */
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
