import type { LogEntry } from "./logs.ts";
import { printable } from "./plain.ts";

/** What stands for the text of a line in a file that the control plane writes. */
const ELSEWHERE = "[stored: in your store; `towpath logs` prints it]";

/** An entry as a line of a file, without escape sequences, since people read such files in terminals. */
export function logFileText(entry: LogEntry, { manyAttempts }: { manyAttempts: boolean }): string {
  const attempt = manyAttempts ? `#${entry.attempt} ` : "";
  if (entry.kind === "gap") return `${attempt}--- ${entry.count} lines are missing: ${entry.reason}\n`;
  const origin = entry.stream === "log" ? "" : ` ${entry.stream}`;
  const task = entry.task === undefined ? "" : ` [${printable(entry.task)}]`;
  const text = entry.stored !== undefined && entry.text === "" ? ELSEWHERE : printable(entry.text);
  return `${attempt}${entry.at} ${entry.level}${origin}${task} ${text}\n`;
}
