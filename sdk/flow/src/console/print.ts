import { wantsColour } from "../engine/config.ts";
import type { LogDraft } from "../engine/records.ts";
import { harmless, type Paint, paintWith, taskLabel } from "./style.ts";

const TIME_FROM = "2026-01-01T".length;
const TIME_TO = "2026-01-01T00:00:00.000".length;
const TONES = { debug: "quiet", info: null, warn: "warn", error: "bad" } as const;

/** A log line as a terminal shows it. */
export function logText(record: LogDraft, paint: Paint): string {
  const time = paint("quiet", record.at.slice(TIME_FROM, TIME_TO));
  const tone = TONES[record.level];
  const text = harmless(record.text).replaceAll("\n", `\n${" ".repeat(TIME_TO - TIME_FROM + 3)}`);
  const level = tone === null || record.level === "debug" ? "" : `${record.level} `;
  const task = record.task === undefined ? "" : ` ${paint("quiet", `(${taskLabel(record.task)})`)}`;
  return `  ${time} ${tone === null ? text : paint(tone, level + text)}${task}`;
}

/** Prints a log line that belongs to no run. */
export function printLine(record: LogDraft): void {
  process.stdout.write(`${logText(record, paintWith(wantsColour(process.stdout)))}\n`);
}
