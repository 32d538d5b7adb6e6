import { randomInt } from "node:crypto";
import { stripVTControlCharacters } from "node:util";
import { terminalJson, terminalText } from "@towpath/contract";
import measure from "fast-string-truncated-width";

// Node recognises parts of a sequence of up to four digits when it measures text.
const secret = () => randomInt(1000, 10_000);

/** The start of our own escape sequences until they are printed. Foreign text cannot guess these numbers. */
const OWN = `\u001b[${secret()};${secret()};${secret()};`;

/** One of our own escape sequences, such as `0J`. `Output` lets only these through to a terminal. */
export function escapeSequence(code: string): string {
  return `${OWN}${code}`;
}

/** Text for a terminal: our own escape sequences stay, all others are neutralised (see `terminalText`). */
export function forTerminal(text: string): string {
  return text.split(OWN).map(terminalText).join("\u001b[");
}

/** Styles of text. Without colour they return the text unchanged. */
export interface Style extends Record<keyof typeof CODES, (text: string) => string> {
  /** A command as the user must type it here, such as `npx towpath …` if only a project has it installed. */
  readonly typed: (command: string) => string;
}

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

/** The styles, with or without colour. @param called How users call the CLI here. */
export function styles(color: boolean, called = "towpath"): Style {
  const one = (name: keyof typeof CODES) => {
    const [on, off] = CODES[name];
    return (text: string) =>
      color && text !== "" ? `${escapeSequence(`${on}m`)}${text}${escapeSequence(`${off}m`)}` : text;
  };
  return {
    bold: one("bold"),
    dim: one("dim"),
    red: one("red"),
    green: one("green"),
    yellow: one("yellow"),
    cyan: one("cyan"),
    typed: (command) => command.replace(/^towpath(?= |$)/, called),
  };
}

/** The columns that text takes on a terminal. Colour codes take none; wide characters and emoji take two. */
export function widthOf(text: string): number {
  return measure(text).width;
}

/** Cuts a line to a number of columns. A line with colours ends without colour. */
export function fitLine(line: string, columns: number): string {
  const { truncated, index } = measure(line, { limit: columns, ellipsis: "…" });
  if (!truncated) return line;
  const reset = stripVTControlCharacters(line) === line ? "" : escapeSequence("0m");
  return `${line.slice(0, index)}…${reset}`;
}

/**
 * Makes foreign text (from a flow or a server) safe to print on one line: control characters become spaces, so that
 * it can neither move the cursor nor hide other text.
 */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\u2028\u2029]/gu, " ");
}

/** A table as lines. Columns are as wide as their content; numbers are right-aligned. */
export function tableLines(
  args: { columns: readonly string[]; rows: readonly (readonly string[])[] },
  style: Style,
): string[] {
  const widths = args.columns.map((title, index) =>
    Math.max(widthOf(title), ...args.rows.map((row) => widthOf(row[index] ?? ""))),
  );
  const numeric = args.columns.map(
    (_, index) =>
      args.rows.length > 0 &&
      args.rows.every((row) => /^-?[\d.,]*$/.test(stripVTControlCharacters(row[index] ?? ""))),
  );
  const format = (cells: readonly string[]) =>
    cells
      .map((cell, index) => {
        const space = " ".repeat(Math.max(0, (widths[index] ?? 0) - widthOf(cell)));
        return numeric[index] ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd();
  return [style.dim(format(args.columns)), ...args.rows.map(format)];
}

/** A table without the columns of `optional` that have no text in any row. */
export function withoutEmpty(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  optional: readonly string[],
): { readonly columns: string[]; readonly rows: string[][] } {
  const isShown = columns.map((title, at) => !optional.includes(title) || rows.some((row) => row[at] !== ""));
  const kept = <T>(cells: readonly T[]) => cells.filter((_, at) => isShown[at]);
  return { columns: kept(columns), rows: rows.map(kept) };
}

/** Formats commands between backticks: in colour, or with the backticks if there is no colour. */
export function withCommands(text: string, style: Style): string {
  const isPlain = style.cyan("a") === "a";
  return text.replaceAll(/`([^`]+)`/g, (_, command: string) => {
    const typed = style.typed(command);
    return isPlain ? `\`${typed}\`` : style.cyan(typed);
  });
}

/** Where a command prints. All output goes through it, and it lets only our own escape sequences through. */
export interface Output {
  /** Whether `--json` was given. Then only `data` and `datum` write to stdout. */
  readonly json: boolean;
  readonly style: Style;
  /** Whether stdout is a terminal where lines can be redrawn. */
  readonly live: boolean;
  columns(): number;
  /** A line on stdout. Nothing with `--json`. */
  line(text?: string): void;
  /** A line with the next step. Commands stand between backticks. */
  next(text: string): void;
  /** A line on stderr. Nothing with `--json`. */
  note(text: string): void;
  /** A line of JSON on stderr, only with `--json`. */
  fault(value: unknown): void;
  /** A JSON document on stdout, only with `--json`. */
  data(value: unknown): void;
  /** One line of JSON on stdout, only with `--json`: for streams. */
  datum(value: unknown): void;
  table(columns: readonly string[], rows: readonly (readonly string[])[]): void;
  /** Text on stdout without a line break, with `escapeSequence`s. */
  write(text: string): void;
}

/** The streams of a process or a test. */
export interface Streams {
  readonly stdout: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  readonly stderr: { write(text: string): unknown };
  /** Sends what other code of this process prints to stderr, so that stdout has only our JSON. */
  readonly reserveStdout?: () => void;
}

const PLAIN_COLUMNS = 100;

/** Makes the output of one command. */
export function createOutput(
  streams: Streams,
  options: { json: boolean; color: boolean | null; called?: string },
): Output {
  const isTty = streams.stdout.isTTY === true;
  const style = styles(!options.json && (options.color ?? isTty), options.called);
  const line = (text = "") => {
    if (!options.json) streams.stdout.write(forTerminal(`${text}\n`));
  };
  return {
    json: options.json,
    style,
    live: isTty && !options.json,
    // A terminal of unknown width reports 0.
    columns: () => streams.stdout.columns || PLAIN_COLUMNS,
    line,
    next: (text) => line(`${style.dim("→")} ${withCommands(text, style)}`),
    note(text) {
      if (!options.json) streams.stderr.write(forTerminal(`${text}\n`));
    },
    fault(value) {
      if (options.json) streams.stderr.write(`${terminalJson(value)}\n`);
    },
    data(value) {
      if (options.json) streams.stdout.write(`${terminalJson(value, 2)}\n`);
    },
    datum(value) {
      if (options.json) streams.stdout.write(`${terminalJson(value)}\n`);
    },
    table(columns, rows) {
      for (const text of tableLines({ columns, rows }, style)) line(text);
    },
    write(text) {
      if (!options.json) streams.stdout.write(forTerminal(text));
    },
  };
}
