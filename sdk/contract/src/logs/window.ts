import { z } from "zod";
import { LogEntry, LogFilter, LogLevel, LogPlace, SearchText } from "./logs.ts";

/** The most rows of one window. */
export const WINDOW_ROWS_MAX = 1000;

/** Which rows of a log to read. Without `row` and `at`: the last ones. */
export const LogWindowQuery = LogFilter.extend({
  row: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional().describe("The first row."),
  at: LogPlace.optional().describe("A line, `attempt:line`. The window surrounds it."),
  limit: z.coerce.number().int().min(1).max(WINDOW_ROWS_MAX).default(200),
});

/**
 * Rows of a log by number, after filters. A line is a row, and a gap is one row for any number of
 * lost lines.
 */
export const LogWindow = z.object({
  rows: z.int().describe("The number of all rows."),
  first: z.int().describe("The row of the first entry."),
  entries: z.array(LogEntry),
  at: z
    .int()
    .nullable()
    .describe("The row of the requested line, or of the next one that the filters include."),
  levels: z.record(LogLevel, z.int()).describe("The number of lines of each level, including filtered ones."),
  end: z.boolean().describe("True when nothing more will be written."),
});
export type LogWindow = z.infer<typeof LogWindow>;

/** The most matches in one answer. */
export const FINDS_MAX = 1000;

/** Searches a log for a text. */
export const LogSearchQuery = LogFilter.extend({
  text: SearchText,
  from: LogPlace.default("0:0").describe("A line, `attempt:line`. The matches around it are listed."),
});

/** The matches of a search. */
export const LogFinds = z.object({
  lines: z.int().describe("The number of matching lines."),
  at: z
    .int()
    .describe(
      "The ordinal, from 0, of the first match at or after the requested line. Equal to `lines`: there is none.",
    ),
  first: z.int().describe("The ordinal of the first listed match."),
  finds: z.array(LogPlace).max(FINDS_MAX).describe("Matching lines, `attempt:line`, in order."),
  searched: z.int().describe("The number of searched lines."),
  whole: z.boolean().describe("False if the time limit of a search ended before the end of the log."),
  stored: z
    .int()
    .optional()
    .describe("The number of lines whose texts are in the customer's store. They are not searched."),
});
export type LogFinds = z.infer<typeof LogFinds>;
