import { randomInt } from "node:crypto";
import { stripVTControlCharacters } from "node:util";
import { terminalJson, terminalText } from "@towpath/contract";

// Four digits are the most that Node takes for a part of a sequence when it measures text.
const secret = () => randomInt(1000, 10_000);

/** How an escape sequence of ours begins until it is printed. Text from elsewhere cannot know these numbers. */
const OWN = `\u001b[${secret()};${secret()};${secret()};`;

/** An escape sequence of ours, such as `0J`; the only kind that `Output` lets through to a terminal. */
export function escapeSequence(code: string): string {
  return `${OWN}${code}`;
}

/** What a terminal is given: our own escape sequences, and everything else without any (see `terminalText`). */
export function forTerminal(text: string): string {
  return text.split(OWN).map(terminalText).join("\u001b[");
}

/** Styles of text; each is the identity when colour is off. */
export interface Style extends Record<keyof typeof CODES, (text: string) => string> {
  /** A command of ours as it has to be typed here, such as `npx towpath …` where only a project has it installed. */
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

/** The styles, in colour or plain. @param called How people call us here. */
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
    typed: (command) => command.replace(/^towpath\b/, called),
  };
}

/** Width of text on a terminal, without its colour codes. Counts code points: near enough for tables. */
export function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

/**
 * Text that came from elsewhere (a flow, a server), made safe to print: control characters become spaces, so that
 * a log line can neither move the cursor nor hide another.
 */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\u2028\u2029]/gu, " ");
}

/** A table as lines: columns as wide as their content, numbers to the right. */
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

/** Text in which what stands between backticks is a command to type: in colour, or still between backticks. */
export function withCommands(text: string, style: Style): string {
  const isPlain = style.cyan("a") === "a";
  return text.replaceAll(/`([^`]+)`/g, (_, command: string) => {
    const typed = style.typed(command);
    return isPlain ? `\`${typed}\`` : style.cyan(typed);
  });
}

/** Where a command prints. Nothing reaches a terminal past it, and nothing that it prints can be obeyed but our own sequences. */
export interface Output {
  /** Whether `--json` was given: then only `data` writes to stdout. */
  readonly json: boolean;
  readonly style: Style;
  /** Whether stdout is a terminal on which lines may be drawn again. */
  readonly live: boolean;
  columns(): number;
  /** A line for people on stdout; nothing under `--json`. */
  line(text?: string): void;
  /** A line that says what to do next; commands stand between backticks. */
  next(text: string): void;
  /** A line for people on stderr; nothing under `--json`. */
  note(text: string): void;
  /** A line of JSON on stderr under `--json`; nothing otherwise. */
  fault(value: unknown): void;
  /** A JSON document on stdout under `--json`; nothing otherwise. */
  data(value: unknown): void;
  /** One line of JSON on stdout under `--json`: for streams. */
  datum(value: unknown): void;
  table(columns: readonly string[], rows: readonly (readonly string[])[]): void;
  /** Text on stdout as it is, with `escapeSequence`s: for what draws by itself. */
  write(text: string): void;
}

/** The streams that an output writes to; a process's own, or a test's. */
export interface Streams {
  readonly stdout: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  readonly stderr: { write(text: string): unknown };
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
    // A terminal that does not know its width says 0.
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
