import { z } from "zod";
import { LogEntry, LogFilter, LogLevel, LogPlace, SearchText } from "./logs.ts";

/** The most rows of one window. */
export const WINDOW_ROWS_MAX = 1000;

/** Which rows of a log are wanted. Neither `row` nor `at`: the last ones. */
export const LogWindowQuery = LogFilter.extend({
  row: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional().describe("The first row."),
  at: LogPlace.optional().describe("A line, `attempt:line`: the window stands around it."),
  limit: z.coerce.number().int().min(1).max(WINDOW_ROWS_MAX).default(200),
});

/**
 * Some rows of a log, by their place among all that the filter leaves: a line is a row, and a gap is one however many
 * lines it stands for.
 */
export const LogWindow = z.object({
  rows: z.int().describe("How many rows there are in all."),
  first: z.int().describe("The row of the first entry."),
  entries: z.array(LogEntry),
  at: z.int().nullable().describe("The row of the line that was asked for, or of the next that is shown."),
  levels: z.record(LogLevel, z.int()).describe("Lines of each level in all, hidden ones included."),
  end: z.boolean().describe("True when nothing more will be written."),
});
export type LogWindow = z.infer<typeof LogWindow>;

/** The most finds that one answer lists. */
export const FINDS_MAX = 1000;

/** Looks for a text in a log. */
export const LogSearchQuery = LogFilter.extend({
  text: SearchText,
  from: LogPlace.default("0:0").describe("A line, `attempt:line`: the finds around it are listed."),
});

/** Where a text is in a log. */
export const LogFinds = z.object({
  lines: z.int().describe("How many lines have it."),
  at: z
    .int()
    .describe("The ordinal, from 0, of the first find at or after the line asked from. `lines`: none is."),
  first: z.int().describe("The ordinal of the first find that is listed."),
  finds: z.array(LogPlace).max(FINDS_MAX).describe("Lines that have it, `attempt:line`, in order."),
  searched: z.int().describe("Lines that were looked at."),
  whole: z
    .boolean()
    .describe("False when the log is so long that the time for one search was over before its end."),
});
export type LogFinds = z.infer<typeof LogFinds>;
