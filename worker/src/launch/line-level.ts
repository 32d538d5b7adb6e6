import type { LogLine } from "@towpath/contract";

type Level = LogLine["level"];

/** The names of levels that loggers print, in upper or lower case. */
const LEVELS: Readonly<Record<string, Level>> = {
  trace: "debug",
  debug: "debug",
  info: "info",
  notice: "info",
  warn: "warn",
  warning: "warn",
  err: "error",
  error: "error",
  critical: "error",
  fatal: "error",
};

const NAMES = Object.keys(LEVELS).join("|");
/** Only the beginning of a line is searched: its end is the message. */
const HEAD_CHARS = 120;
/**
 * Times, names of loggers and brackets before the level: `2026-01-31 09:00:00,123 [main] `. Separators between two
 * names have one place in the pattern. Two places would make its time grow with the square of their number.
 */
const BEFORE = String.raw`^(?:\[?[\d\-/:.,TZ+\s]{5,40}\]?\s*)?(?:[\s\-|]*(?:\[?[\w.]{1,60}\]?[\s\-|:]+){1,2})?`;
/** Upper case in any frame, or lower case in brackets or before a colon. */
const NAMED = new RegExp(
  `${BEFORE}(?:\\[?\\b(${NAMES.toUpperCase()})\\b\\]?(?=[\\s:|\\]-]|$)|\\[(${NAMES})\\]|(?<![\\w.])(${NAMES}):\\s)`,
);
/** A structured line: `level=warn`, `"level":"error"`. */
const FIELD = new RegExp(`(?:^|[\\s{,])"?(?:level|lvl|severity|levelname)"?\\s*[=:]\\s*"?(${NAMES})\\b`, "i");
/** A Python warning: `load.py:3: UserWarning: …`. */
const PYTHON_WARNING = /^\S+:\d+: \w*Warning: /;
/** An error as languages print it: `ValueError: …`, `Traceback (most recent call last):`, `FATAL ERROR: …`. */
const PRINTED_ERROR =
  /^(?:Uncaught )?(?:[\w.]*(?:Error|Exception)(?:: |$)|Traceback \(most recent call last\):)/;

/**
 * The level that a line of output names itself: of the common loggers, of structured lines, and of errors that
 * languages print. Without one it is `info`, on stderr too: most programs write their progress there.
 */
export function lineLevel(text: string): Level {
  const head = text.slice(0, HEAD_CHARS).replace(/\s+/g, " ").trimStart();
  const field = FIELD.exec(text.slice(0, HEAD_CHARS * 4))?.[1];
  if (field !== undefined && /^[{\w"]/.test(head)) return LEVELS[field.toLowerCase()] ?? "info";
  const [, upper, bracketed, beforeColon] = NAMED.exec(head) ?? [];
  const name = upper ?? bracketed ?? beforeColon;
  if (name !== undefined) return LEVELS[name.toLowerCase()] ?? "info";
  if (PYTHON_WARNING.test(head)) return "warn";
  return PRINTED_ERROR.test(head) ? "error" : "info";
}
