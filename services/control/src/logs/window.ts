import { LOG_LEVELS, type LogEntry, type LogFilter, type LogLevel, type LogWindow } from "@towpath/contract";
import type { Deps, Queryable, Scope } from "../kernel/index.ts";
import { type LogSource, readLogSources } from "../runs/index.ts";
import { bitsOf, isShown, type Levels } from "./levels.ts";
import { chosen, type LogCursor, parseLogCursor } from "./read.ts";
import { type ChunkRow, listChunks } from "./store/read.ts";
import { findRow, type LogExtent, readExtent } from "./store/rows.ts";
import { lineEntry } from "./wire.ts";

/** The most chunks of one read. */
const CHUNKS_MAX = 200;

/** The share of a window that is before the requested line. */
const SHARE_BEFORE = 0.5;

/** An attempt's log among all that are shown. */
interface Part {
  readonly workspaceId: string;
  readonly levels: Levels;
  readonly source: LogSource;
  readonly extent: LogExtent | null;
  /** Its first row among the rows of all parts, and its number of rows. */
  readonly start: number;
  readonly rows: number;
}

/** A request for rows of a run's log. */
export interface WindowRequest extends LogFilter {
  readonly runId: string;
  readonly row?: number | undefined;
  readonly at?: string | undefined;
  readonly limit: number;
}

/**
 * Rows of a run's log by row number. The time does not grow with the log, since each chunk stores the number of rows up to
 * its end.
 * @throws Problem `run-not-found`.
 */
export async function getLogWindow(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: WindowRequest,
): Promise<LogWindow> {
  const from = deps.database.reads;
  const { workspaceId } = scope;
  const name = { workspaceId, runId: args.runId };
  const { ended, sources: all } = await readLogSources(from, deps.clock, name);
  const sources = chosen(all, args.attempt);
  const parts = await readParts(from, { workspaceId, sources, levels: args.levels ?? null });
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const at = args.at === undefined ? null : await rowOfLine(from, { parts, line: parseLogCursor(args.at) });
  const first = firstRow({ ...args, rows, at });
  const entries = await readRows(from, { parts, first, limit: args.limit });
  const isClosed = ended && sources.every((source) => source.closed);
  return { rows, first, entries, at, levels: levelsOf(parts), end: isClosed };
}

function firstRow(args: {
  row?: number | undefined;
  at: number | null;
  rows: number;
  limit: number;
}): number {
  const wanted =
    args.at === null ? (args.row ?? args.rows - args.limit) : args.at - Math.floor(args.limit * SHARE_BEFORE);
  return Math.max(0, Math.min(wanted, args.rows));
}

function levelsOf(parts: readonly Part[]): Record<LogLevel, number> {
  const levels = { debug: 0, info: 0, warn: 0, error: 0 };
  for (const level of LOG_LEVELS) {
    for (const { extent } of parts) levels[level] += extent?.levels[level] ?? 0;
  }
  return levels;
}

async function readParts(
  from: Queryable,
  args: { workspaceId: string; sources: readonly LogSource[]; levels: Levels },
): Promise<Part[]> {
  const { workspaceId, levels } = args;
  const parts: Part[] = [];
  let start = 0;
  for (const source of args.sources) {
    const extent = await readExtent(from, { workspaceId, attemptId: source.attemptId });
    const rows = leadRows({ extent, source }) + shownRows(extent, levels);
    parts.push({ workspaceId, levels, source, extent, start, rows });
    start += rows;
  }
  return parts;
}

function shownRows(extent: LogExtent | null, levels: Levels): number {
  if (extent === null) return 0;
  return (levels ?? LOG_LEVELS).reduce((sum, level) => sum + extent.levels[level], extent.gaps);
}

/** One row represents all lines that are past their retention. */
function leadRows({ extent, source }: Pick<Part, "extent" | "source">): number {
  return keptFrom({ extent, source }) > 0 ? 1 : 0;
}

/** The first kept line of an attempt. */
function keptFrom({ extent, source }: Pick<Part, "extent" | "source">): number {
  return extent?.firstLine ?? source.nextLine;
}

/** A chunk's shown entries, and the row of its attempt at which they begin. */
interface ChunkRows {
  readonly row: number;
  readonly entries: LogEntry[];
}

/** The rows of a chunk. Its first row follows from the totals at its end. */
function chunkRows(part: Part, chunk: ChunkRow): ChunkRows {
  const { levels } = part;
  const attempt = part.source.ordinal;
  const line = chunk.firstLine;
  const entries: LogEntry[] =
    chunk.kind === "gap"
      ? [{ kind: "gap", attempt, line, count: chunk.lineCount, reason: chunk.reason ?? "" }]
      : (chunk.lines ?? []).flatMap((one, index) =>
          isShown(one, levels) ? [lineEntry(chunk, { attempt, index, line: one })] : [],
        );
  const totals = {
    debug: chunk.debugTotal,
    info: chunk.infoTotal,
    warn: chunk.warnTotal,
    error: chunk.errorTotal,
  };
  const upTo = (levels ?? LOG_LEVELS).reduce((sum, level) => sum + totals[level], chunk.gapTotal);
  return { row: leadRows(part) + upTo - entries.length, entries };
}

/** The row of a line among the rows of all parts. If the line is hidden or deleted, the row of the next shown line. */
async function rowOfLine(
  from: Queryable,
  args: { parts: readonly Part[]; line: LogCursor },
): Promise<number> {
  const part = args.parts.find(({ source }) => source.ordinal >= args.line.attempt);
  if (part === undefined) return args.parts.reduce((sum, one) => sum + one.rows, 0);
  const line = part.source.ordinal > args.line.attempt ? 0 : args.line.line;
  if (line < keptFrom(part)) return part.start;
  const { workspaceId, source } = part;
  const [chunk] = await listChunks(from, { workspaceId, attemptId: source.attemptId, line, limit: 1 });
  if (chunk === undefined) return part.start + part.rows;
  const { row, entries } = chunkRows(part, chunk);
  const before = entries.filter((entry) => entry.line + (entry.kind === "gap" ? entry.count : 1) <= line);
  return part.start + row + before.length;
}

async function readRows(
  from: Queryable,
  args: { parts: readonly Part[]; first: number; limit: number },
): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for (const part of args.parts) {
    const row = Math.max(0, args.first + entries.length - part.start);
    if (row >= part.rows) continue;
    const limit = args.limit - entries.length;
    if (limit === 0) break;
    entries.push(...(await readPart(from, { part, row, limit })));
  }
  return entries;
}

/** Entries of one attempt from a row on. */
async function readPart(
  from: Queryable,
  args: { part: Part; row: number; limit: number },
): Promise<LogEntry[]> {
  const { part, limit } = args;
  const { workspaceId, levels, source } = part;
  const { attemptId, ordinal } = source;
  const entries: LogEntry[] = [];
  const lead = leadRows(part);
  const firstLine = keptFrom(part);
  const nextLine = part.extent?.nextLine ?? firstLine;
  if (lead > 0 && args.row === 0)
    entries.push({ kind: "gap", attempt: ordinal, line: 0, count: firstLine, reason: "no longer kept" });
  const log = { workspaceId, attemptId, levels };
  let line = await findRow(from, { ...log, row: Math.max(0, args.row - lead), firstLine, nextLine });
  while (line !== null && entries.length < limit) {
    const chunks = await listChunks(from, { ...log, line, bits: bitsOf(levels), limit: CHUNKS_MAX });
    for (const chunk of chunks) {
      const { row, entries: shown } = chunkRows(part, chunk);
      entries.push(...shown.slice(Math.max(0, args.row - row)));
      if (entries.length >= limit) break;
    }
    const last = chunks.at(-1);
    line =
      last === undefined || last.firstLine + last.lineCount >= nextLine
        ? null
        : last.firstLine + last.lineCount;
  }
  return entries.slice(0, limit);
}
