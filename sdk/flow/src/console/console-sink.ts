import type { ArtifactBody } from "@towpath/contract";
import type {
  ArtifactDraft,
  LogDraft,
  OutcomeDraft,
  RecordDraft,
  RecordSink,
  TaskDraft,
} from "../engine/records.ts";
import { durationText, harmless, logText, type Paint, paintWith, taskLabel } from "./style.ts";

/** The body of a progress artifact. */
export type ProgressBody = Extract<ArtifactBody, { kind: "progress" }>;

const BAR_CHARS = 24;
const PERCENT = 100;

function count(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : String(Math.round(value * 1000) / 1000);
}

/** The fraction that is done, 0 to 1; null if the total is unknown. */
export function fractionOf(body: ProgressBody): number | null {
  if (body.total === null || body.total <= 0) return null;
  return Math.min(Math.max(body.done / body.total, 0), 1);
}

/** Progress in one row, with or without a bar. */
export function progressText(title: string, body: ProgressBody, withBar: boolean): string {
  const fraction = fractionOf(body);
  const unit = body.unit ? ` ${harmless(body.unit)}` : "";
  const label = harmless(title).replace(/\s+/g, " ");
  if (fraction === null) return `${label} ${count(body.done)}${unit}`;
  const full = Math.round(fraction * BAR_CHARS);
  const bar = withBar ? `${"█".repeat(full)}${"░".repeat(BAR_CHARS - full)} ` : "";
  const percent = `${Math.floor(fraction * PERCENT)} %`;
  return `${label} ${bar}${percent} (${count(body.done)} of ${count(body.total ?? 0)}${unit})`;
}

/** Cells may hold any value. */
type TableBody = Pick<Extract<ArtifactBody, { kind: "table" }>, "columns"> & {
  readonly rows: readonly (readonly unknown[])[];
};

const CELL_CHARS_MAX = 60;
const ROWS_SHOWN_MAX = 40;

function cellText(cell: unknown): string {
  const text = cell === null ? "" : typeof cell === "string" ? cell : JSON.stringify(cell);
  const line = harmless(text).replace(/\s+/g, " ");
  return line.length <= CELL_CHARS_MAX ? line : `${line.slice(0, CELL_CHARS_MAX - 1)}…`;
}

function isNumeric(column: readonly unknown[]): boolean {
  return (
    column.some((cell) => typeof cell === "number") &&
    column.every((cell) => cell === null || typeof cell === "number")
  );
}

/** A table as rows of text: numbers are right-aligned, other values left-aligned. */
export function drawTable(table: TableBody): string[] {
  const shown = table.rows.slice(0, ROWS_SHOWN_MAX);
  const columns = table.columns.map((title, index) => {
    const cells = shown.map((row) => row[index] ?? null);
    const texts = [cellText(title), ...cells.map(cellText)];
    const width = Math.max(...texts.map((text) => text.length));
    const padded = texts.map((text) => (isNumeric(cells) ? text.padStart(width) : text.padEnd(width)));
    return { width, padded };
  });
  const line = (row: number) =>
    columns
      .map((column) => column.padded[row] ?? "")
      .join("  ")
      .trimEnd();
  const rule = columns.map((column) => "─".repeat(column.width)).join("  ");
  const body = shown.map((_, index) => line(index + 1));
  const rest = table.rows.length - shown.length;
  return [line(0), rule, ...body, ...(rest > 0 ? [`… and ${rest} more rows`] : [])];
}

/** The output of a console sink. */
export interface Terminal {
  readonly write: (text: string) => void;
  /** Whether rows can be overwritten, as a progress bar needs. */
  readonly isInteractive: boolean;
  readonly colour: boolean;
  readonly columns: number;
}

const ERASE_LINE = "\r\u001b[2K";
/** Without a terminal, progress is printed once for each of this many parts. */
const STEPS = 4;

/** Prints a run's records: log lines, progress bars, tables and durations. */
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

  /** Prints text above the progress bar. */
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

  /** The text for a task run that has ended. Earlier moves print nothing. */
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
