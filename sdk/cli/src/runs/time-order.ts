import type { StreamedEvent } from "@towpath/client";
import { isOver, type LogEntry } from "./run-view.ts";

/** How long lines wait for others that arrive at nearly the same time, milliseconds. */
const HOLD_MS = 100;

/** The lines of one log entry or one ended task. */
interface Held {
  /** Milliseconds since 1970, by the worker's clock. Null: unknown, as for a gap. */
  readonly atMs: number | null;
  /** The path of the task. Empty: none. */
  readonly task: string;
  readonly lines: readonly string[];
}

/**
 * Prints log lines and ended tasks in the order of their times. A run's stream sends both in events of their own, so a log line
 * may arrive before a task that ended earlier. Log lines keep their order, and so do tasks.
 */
export class TimeOrder {
  readonly #print: (lines: readonly string[]) => void;
  #logs: Held[] = [];
  #tasks: Held[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(print: (lines: readonly string[]) => void) {
    this.#print = print;
  }

  /** Takes the lines of an event. Lines of other events are printed at once, after those that wait. */
  add(event: StreamedEvent, linesOf: (event: StreamedEvent) => readonly string[]): void {
    if (event.event === "log")
      for (const entry of event.data)
        this.#logs.push({ ...placeOf(entry), lines: linesOf({ ...event, data: [entry] }) });
    else if (event.event === "task" && isOver(event.data)) {
      const { endedAt, path } = event.data;
      this.#tasks.push({
        atMs: endedAt === null ? null : Date.parse(endedAt),
        task: path,
        lines: linesOf(event),
      });
    } else {
      const lines = linesOf(event);
      if (lines.length === 0) return;
      this.flush();
      this.#print(lines);
      return;
    }
    this.#timer ??= setTimeout(() => this.flush(), HOLD_MS);
  }

  /** Prints what waits. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [logs, tasks] = [this.#logs, this.#tasks];
    [this.#logs, this.#tasks] = [[], []];
    const lines: string[] = [];
    let next = 0;
    for (const log of logs) {
      for (let task = tasks[next]; task && endedBefore(task, log); task = tasks[next]) {
        lines.push(...task.lines);
        next += 1;
      }
      lines.push(...log.lines);
    }
    for (const task of tasks.slice(next)) lines.push(...task.lines);
    if (lines.length > 0) this.#print(lines);
  }
}

function placeOf(entry: LogEntry): Pick<Held, "atMs" | "task"> {
  return entry.kind === "line"
    ? { atMs: Date.parse(entry.at), task: entry.task ?? "" }
    : { atMs: null, task: "" };
}

/** In the same millisecond, a task's own lines come before its end, and other lines after it. */
function endedBefore(task: Held, log: Held): boolean {
  if (task.atMs === null || log.atMs === null) return false;
  return task.atMs < log.atMs || (task.atMs === log.atMs && task.task !== log.task);
}
