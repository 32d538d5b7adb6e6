import { stripVTControlCharacters, styleText } from "node:util";
import { wantsColour } from "../engine/config.ts";
import type { LogDraft } from "../engine/records.ts";

const TIME_CHARS = "00:00:00.000".length;
const TONES = { debug: "quiet", info: null, warn: "warn", error: "bad" } as const;

/** The local time of day: `15:04:05.123`. */
function timeOfDay(at: string): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, "0");
  const seconds = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${seconds}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** A log line as text for a terminal. */
export function logText(record: LogDraft, paint: Paint): string {
  const time = paint("quiet", timeOfDay(record.at));
  const tone = TONES[record.level];
  const text = harmless(record.text).replaceAll("\n", `\n${" ".repeat(TIME_CHARS + 3)}`);
  const level = tone === null || record.level === "debug" ? "" : `${record.level} `;
  const task = record.task === undefined ? "" : ` ${paint("quiet", `(${taskLabel(record.task)})`)}`;
  return `  ${time} ${tone === null ? text : paint(tone, level + text)}${task}`;
}

/** Prints a log line outside of a run. */
export function printLine(record: LogDraft): void {
  process.stdout.write(`${logText(record, paintWith(wantsColour(process.stdout)))}\n`);
}

/** The role of a piece of text, which decides its colour. */
export type Tone = "good" | "bad" | "warn" | "quiet" | "strong";

const STYLES = { good: "green", bad: "red", warn: "yellow", quiet: "dim", strong: "bold" } as const;

/** Colours text by its tone, if colour is on. */
export type Paint = (tone: Tone, text: string) => string;

/** A function that colours text, or leaves it as it is. */
export function paintWith(colour: boolean): Paint {
  return (tone, text) => (colour ? styleText(STYLES[tone], text, { validateStream: false }) : text);
}

/** Removes control characters, so that a user's text cannot move the cursor or change colours. */
export function harmless(text: string): string {
  return stripVTControlCharacters(text).replace(/[^\P{Cc}\n\t]/gu, "�");
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

/** A duration in readable form: `12 ms`, `3.4 s`, `2 min 5 s`. */
export function durationText(ms: number): string {
  if (ms < SECOND_MS) return `${Math.round(ms)} ms`;
  if (ms < MINUTE_MS) return `${(ms / SECOND_MS).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND_MS);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** The readable name of a task run: its path's names without the hashes. */
export function taskLabel(path: string): string {
  const names = path.split("/").map((part) => part.replace(/:[0-9a-f]{16}(?=#|$)/, ""));
  const label = names
    .join("/")
    .replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return harmless(label);
}
