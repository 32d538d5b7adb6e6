import { terminalText } from "./terminal.ts";

/** The format of our programs' logs: readable lines, or one JSON document on each line. */
export type LogFormat = "pretty" | "json";

/**
 * Readable lines on a terminal, JSON elsewhere.
 * @param wish The value of `LOG_FORMAT`. Other values than `json` and `pretty` are for other programs and have no effect.
 */
export function logFormatOf(wish: string | undefined, isTerminal: boolean): LogFormat {
  if (wish === "json" || wish === "pretty") return wish;
  return isTerminal ? "pretty" : "json";
}

/** Options of a readable log line. */
export interface LogLineOptions {
  readonly colour: boolean;
  /** Whether errors are printed with their stacks. */
  readonly stacks: boolean;
}

/** Level numbers with their words and colours (SGR codes). */
const LEVELS = [
  { from: 60, word: "fatal", code: 31 },
  { from: 50, word: "error", code: 31 },
  { from: 40, word: "warn", code: 33 },
  { from: 30, word: "info", code: 32 },
  { from: 20, word: "debug", code: 2 },
  { from: 0, word: "trace", code: 2 },
] as const;

const DIM = 2;
const WORD_WIDTH = 5;
const VALUE_CHARS_MAX = 300;
/** Fields that are not printed as `name=value`. */
const UNTOLD = ["level", "time", "pid", "msg", "err"];

function sgr(text: string, code: number, colour: boolean): string {
  return colour ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** Foreign text can neither move the cursor nor begin another line. */
function harmless(text: string): string {
  return terminalText(text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, " "));
}

function valueText(value: unknown): string {
  const isList = Array.isArray(value) && value.every((one) => typeof one !== "object");
  const words = isList ? value.join(", ") : value;
  const text = typeof words === "string" ? words : (JSON.stringify(words) ?? "");
  const short = text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text;
  return typeof words === "string" && /[\s"=]/.test(short) ? JSON.stringify(short) : short;
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === "object" && entry !== null ? { ...entry } : null;
  } catch {
    return null;
  }
}

/** A logged error's message, else its type and code. */
function errorText(error: unknown): { text: string; stack: string } {
  if (typeof error !== "object" || error === null) return { text: "", stack: "" };
  const field = (name: string) => (name in error ? Reflect.get(error, name) : undefined);
  const said = [field("message"), [field("type"), field("code")].filter(Boolean).join(" ")];
  const stack = field("stack");
  const frames = Array.isArray(stack) ? stack.join("\n") : String(stack ?? "");
  return { text: String(said.find((one) => typeof one === "string" && one !== "") ?? ""), stack: frames };
}

/**
 * Formats a line of our programs' logs (pino's JSON) for a terminal:
 * `09:21:05 info  ready: polling for work  workerId=…`. Other lines stay, apart from control characters.
 * @returns Text with the newline at its end.
 */
export function prettyLogLine(line: string, options: LogLineOptions): string {
  const entry = parse(line);
  if (entry === null) return terminalText(line.endsWith("\n") ? line : `${line}\n`);
  const { colour } = options;
  const level = Number(entry.level);
  const { word, code } = LEVELS.find(({ from }) => level >= from) ?? LEVELS[3];
  const at = new Date(Number(entry.time)).toTimeString().slice(0, 8);
  const { text, stack } = errorText(entry.err);
  const message = [String(entry.msg ?? ""), text].filter((part) => part !== "").join(": ");
  const fields = Object.entries(entry)
    .filter(([name, value]) => !UNTOLD.includes(name) && value !== null && value !== undefined)
    .map(([name, value]) => `${sgr(`${harmless(name)}=`, DIM, colour)}${harmless(valueText(value))}`);
  const parts = [
    sgr(at, DIM, colour),
    sgr(word.padEnd(WORD_WIDTH), code, colour),
    [harmless(message), ...fields].join("  "),
  ];
  const frames = options.stacks ? stack.split("\n").filter((frame) => frame.trim() !== "") : [];
  return `${[parts.join(" "), ...frames.map((frame) => sgr(`    ${harmless(frame.trim())}`, DIM, colour))].join("\n")}\n`;
}
