import { formatWithOptions } from "node:util";
import { flowTextChars } from "@towpath/contract/words";
import { instant, systemClock } from "../clock.ts";
import { printLine } from "../console/style.ts";
import { trimInspected } from "../engine/describe-error.ts";
import type { LogDraft } from "../engine/records.ts";
import { currentScope, taskOf } from "../engine/scope.ts";

/** A level of log lines. */
export type LogLevel = LogDraft["level"];

/** Writes lines to the run's log, or to the terminal outside of a run. Never waits, never throws. */
export interface Logger {
  debug(...parts: readonly unknown[]): void;
  info(...parts: readonly unknown[]): void;
  warn(...parts: readonly unknown[]): void;
  error(...parts: readonly unknown[]): void;
}

function textOf(parts: readonly unknown[]): string {
  try {
    // Strings in objects are not cut, because half a secret could not be redacted.
    const text = formatWithOptions({ colors: false, depth: 4, maxStringLength: null }, ...parts);
    const isPlain = parts.every((part) => typeof part !== "object");
    return (isPlain ? text : trimInspected(text)).slice(0, flowTextChars);
  } catch (error) {
    return `(a line that could not be formatted: ${error instanceof Error ? error.message : "unknown"})`;
  }
}

function write(level: LogLevel, parts: readonly unknown[]): void {
  const scope = currentScope();
  const text = textOf(parts);
  if (scope === null) {
    printLine({ type: "log", at: instant(systemClock), level, text });
    return;
  }
  const { records, clock } = scope.run.host;
  records.postLog({ type: "log", at: instant(clock), level, text, ...taskOf(scope) });
}

/** The run's log. Arguments are formatted like those of `console.log`, with only the user's frames in stacks. */
export const log: Logger = {
  debug: (...parts) => write("debug", parts),
  info: (...parts) => write("info", parts),
  warn: (...parts) => write("warn", parts),
  error: (...parts) => write("error", parts),
};
