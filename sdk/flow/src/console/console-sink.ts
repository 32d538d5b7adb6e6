import type {
  ArtifactDraft,
  LogDraft,
  OutcomeDraft,
  RecordDraft,
  RecordSink,
  TaskDraft,
} from "../engine/records.ts";
import { drawTable } from "./draw-table.ts";
import { logText } from "./print.ts";
import { fractionOf, type ProgressBody, progressText } from "./progress-bar.ts";
import { durationText, harmless, type Paint, paintWith, taskLabel } from "./style.ts";

/** Where a console sink writes. */
export interface Terminal {
  readonly write: (text: string) => void;
  /** Whether lines can be drawn over: bars that move. */
  readonly isInteractive: boolean;
  readonly colour: boolean;
  readonly columns: number;
}

const ERASE_LINE = "\r\u001b[2K";
/** Off a terminal, progress is told once for each of so many parts. */
const STEPS = 4;

/** Shows a run's records in a terminal: lines, bars, tables, durations. */
export class ConsoleSink implements RecordSink {
  readonly #terminal: Terminal;
  readonly #paint: Paint;
  readonly #beganAt = new Map<string, number>();
  readonly #steps = new Map<string, number>();
  #bar = "";

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#paint = paintWith(terminal.colour);
  }

  async post(record: RecordDraft): Promise<void> {
    this.#show(record);
  }

  async postHeld(record: RecordDraft): Promise<void> {
    this.#show(record);
  }

  async postStored(record: RecordDraft): Promise<void> {
    this.#show(record);
  }

  postLog(record: LogDraft): void {
    this.#line(logText(record, this.#paint));
  }

  /** Writes a line of its own above whatever bar is drawn. */
  say(text: string): void {
    this.#line(text);
  }

  #show(record: RecordDraft): void {
    if (record.type === "log") this.postLog(record);
    else if (record.type === "task") this.#task(record);
    else if (record.type === "artifact") this.#artifact(record);
    else if (record.type === "outcome") this.#outcome(record);
    else if (record.type === "run-name") this.#line(this.#paint("strong", harmless(record.name)));
  }

  #line(text: string): void {
    const { write } = this.#terminal;
    write(this.#bar === "" ? `${text}\n` : `${ERASE_LINE}${text}\n${this.#bar}`);
  }

  #task(record: TaskDraft): void {
    const atMs = Date.parse(record.at);
    if (record.move === "queue") this.#beganAt.set(record.path, atMs);
    const took = durationText(atMs - (this.#beganAt.get(record.path) ?? atMs));
    const label = harmless(taskLabel(record.path));
    const line = this.#ending(record, label, took);
    if (line === null) return;
    this.#beganAt.delete(record.path);
    this.#line(line);
  }

  /** What is said of a task run that has ended; moves before that show nothing. */
  #ending(record: TaskDraft, label: string, took: string): string | null {
    const after = record.tries > 1 ? `${took}, ${record.tries} tries` : took;
    const reason = harmless(record.error?.message ?? "");
    if (record.move === "complete")
      return `${this.#paint("good", "✓")} ${label} ${this.#paint("quiet", after)}`;
    if (record.move === "reuse") return `${this.#paint("quiet", `↺ ${label} reused`)}`;
    if (record.move === "cancel") return `${this.#paint("warn", "◼")} ${label} cancelled after ${took}`;
    return record.move === "fail"
      ? `${this.#paint("bad", "✗")} ${label} failed after ${after}: ${reason}`
      : null;
  }

  #artifact(record: ArtifactDraft): void {
    const { body, key } = record;
    const title = record.title || key;
    if (body.kind === "progress") this.#progress(key, title, { ...body, unit: body.unit ?? "" });
    else {
      const lines = [this.#paint("strong", harmless(title)), ...bodyLines(body)];
      this.#line(lines.map((line) => `  ${line}`).join("\n"));
    }
  }

  #progress(key: string, title: string, body: ProgressBody): void {
    const fraction = fractionOf(body);
    if (this.#terminal.isInteractive) {
      this.#draw(fraction === 1 ? "" : `  ${progressText(title, body, true)}`);
      return;
    }
    const step = Math.floor((fraction ?? 0) * STEPS);
    if (step === 0 || this.#steps.get(key) === step) return;
    this.#steps.set(key, step);
    this.#line(`  ${progressText(title, body, false)}`);
  }

  #draw(bar: string): void {
    if (bar === this.#bar) return;
    this.#bar = bar.slice(0, Math.max(this.#terminal.columns - 1, 1));
    this.#terminal.write(`${ERASE_LINE}${this.#bar}`);
  }

  #outcome(_record: OutcomeDraft): void {
    this.#draw("");
  }
}

function bodyLines(body: Exclude<ArtifactDraft["body"], { kind: "progress" }>): string[] {
  if (body.kind === "table") return drawTable(body);
  if (body.kind === "markdown") return harmless(body.text).split("\n");
  return [body.kind === "link" ? `${harmless(body.text)} ${body.url}` : `${body.mediaType}, not shown here`];
}

/** A sink on the process's standard output. */
export function terminalOf(stream: NodeJS.WriteStream, colour: boolean): Terminal {
  return {
    write: (text) => void stream.write(text),
    isInteractive: stream.isTTY === true,
    colour,
    columns: stream.columns ?? 80,
  };
}
