import type { LogEntry } from "./logs.ts";
import { printable } from "./plain.ts";

/** An entry as a line of a file, without escape sequences, since people read such files in terminals. */
export function logFileText(entry: LogEntry, { manyAttempts }: { manyAttempts: boolean }): string {
  const attempt = manyAttempts ? `#${entry.attempt} ` : "";
  if (entry.kind === "gap") return `${attempt}--- ${entry.count} lines are missing: ${entry.reason}\n`;
  const origin = entry.stream === "log" ? "" : ` ${entry.stream}`;
  const task = entry.task === undefined ? "" : ` [${printable(entry.task)}]`;
  return `${attempt}${entry.at} ${entry.level}${origin}${task} ${printable(entry.text)}\n`;
}
