import { type Artifact, type LogFilter, type LogPage, searchable, searchedText } from "@towpath/contract";
import { z } from "zod";
import { type Deps, pageOf, type Queryable, readCursor, type Scope } from "../kernel/index.ts";
import { existingRun, type LogSource, readLogSources } from "../runs/index.ts";
import { bitsOf, isShown, type Levels } from "./levels.ts";
import { type ChunkRow, listArtifactRows, listChunks } from "./store/read.ts";
import { artifactOf, lineEntry } from "./wire.ts";

type InWorkspace = Pick<Scope, "workspaceId">;
type Entry = LogPage["entries"][number];

/** The next line to read: the ordinal of its attempt, and its number. */
export interface LogCursor {
  readonly attempt: number;
  readonly line: number;
}

/** Reads a cursor `attempt:line`, whose form the contract has checked. */
export function parseLogCursor(text: string): LogCursor {
  const [attempt = 0, line = 0] = text.split(":").map(Number);
  return { attempt, line };
}

/** A cursor as `attempt:line`. */
export function formatLogCursor(cursor: LogCursor): string {
  return `${cursor.attempt}:${cursor.line}`;
}

/** A request for entries of a run's log. */
export interface LogRequest extends LogFilter {
  readonly runId: string;
  readonly after: string;
  readonly limit: number;
  readonly text?: string | undefined;
  /** Path of a task run. */
  readonly task?: string | undefined;
}

/** The selected attempt, or all of them. */
export function chosen(sources: readonly LogSource[], attempt: number | undefined): LogSource[] {
  return sources.filter((source) => attempt === undefined || source.ordinal === attempt);
}

/**
 * A page of a run's log, attempt after attempt, with gaps for lost lines. With a filter, a page may be short or empty although
 * more pages follow.
 * @throws Problem `run-not-found`.
 */
export async function getLogs(deps: Deps, scope: InWorkspace, args: LogRequest): Promise<LogPage> {
  const from = deps.database.reads;
  const name = { workspaceId: scope.workspaceId, runId: args.runId };
  const { ended, sources: all } = await readLogSources(from, deps.clock, name);
  const sources = chosen(all, args.attempt);
  const { workspaceId } = scope;
  const after = parseLogCursor(args.after);
  const { limit, text, task } = args;
  const levels = args.levels ?? null;
  const isNarrowed = levels !== null || text !== undefined || task !== undefined;
  const page = isNarrowed
    ? await readNarrowed(from, {
        workspaceId,
        sources,
        after,
        limit,
        levels,
        ...(text ? { text: searchable(text) } : {}),
        ...(task ? { task } : {}),
      })
    : await readLog(from, { workspaceId, sources, after, limit });
  return { entries: page.entries, next: formatLogCursor(page.next), end: ended && page.exhausted };
}

/**
 * Reads entries after a cursor. Stays at an attempt until its log is closed, so that no line is skipped. `exhausted` means
 * that every attempt's log is closed and read to its end.
 */
export async function readLog(
  from: Queryable,
  args: { workspaceId: string; sources: readonly LogSource[]; after: LogCursor; limit: number },
): Promise<{ entries: Entry[]; next: LogCursor; exhausted: boolean }> {
  const entries: Entry[] = [];
  let next = args.after;
  for (const source of args.sources) {
    if (source.ordinal < next.attempt) continue;
    if (source.ordinal > next.attempt) next = { attempt: source.ordinal, line: 0 };
    while (next.line < source.nextLine && entries.length < args.limit) {
      const limit = args.limit - entries.length;
      const { attemptId } = source;
      const chunks = await listChunks(from, {
        workspaceId: args.workspaceId,
        attemptId,
        line: next.line,
        limit,
      });
      if (chunks.length === 0) next = skip(entries, { next, line: source.nextLine });
      for (const chunk of chunks) next = append(entries, { chunk, next, limit: args.limit });
    }
    if (!source.closed || next.line < source.nextLine) return { entries, next, exhausted: false };
  }
  return { entries, next, exhausted: true };
}

/** The most lines that one filtered statement covers, and the most such statements of one call. */
const SPAN_LINES = 1_000_000;
const SPANS_MAX = 4;

interface Narrowed {
  readonly workspaceId: string;
  readonly sources: readonly LogSource[];
  readonly after: LogCursor;
  readonly limit: number;
  readonly levels: Levels;
  /** In the form of searchable text. */
  readonly text?: string;
  readonly task?: string;
}

/** Whether a line belongs to a task run, or to one that it called. */
function isOf(line: { readonly task?: string | undefined }, task: string): boolean {
  return line.task === task || line.task?.startsWith(`${task}/`) === true;
}

/** Reads the entries after a cursor that pass a filter. Chunks without a match are not read. */
async function readNarrowed(
  from: Queryable,
  args: Narrowed,
): Promise<{ entries: Entry[]; next: LogCursor; exhausted: boolean }> {
  const entries: Entry[] = [];
  let next = args.after;
  let spans = 0;
  for (const source of args.sources) {
    if (source.ordinal < next.attempt) continue;
    if (source.ordinal > next.attempt) next = { attempt: source.ordinal, line: 0 };
    while (next.line < source.nextLine && entries.length < args.limit && spans < SPANS_MAX) {
      const { line } = next;
      const to = Math.min(line + SPAN_LINES, source.nextLine);
      const chunks = await listChunks(from, {
        workspaceId: args.workspaceId,
        attemptId: source.attemptId,
        line,
        to,
        limit: args.limit,
        bits: bitsOf(args.levels),
        text: args.text,
        task: args.task,
      });
      if (chunks.length === 0) {
        next = { ...next, line: to };
        spans += 1;
      }
      for (const chunk of chunks) next = appendWanted(entries, { ...args, chunk, next });
    }
    if (!source.closed || next.line < source.nextLine) return { entries, next, exhausted: false };
  }
  return { entries, next, exhausted: true };
}

/** Appends the entries of a chunk from the cursor on that pass the filter, up to the limit. @returns the cursor after them */
function appendWanted(entries: Entry[], args: Narrowed & { chunk: ChunkRow; next: LogCursor }): LogCursor {
  const { chunk, text, task } = args;
  const { attempt } = args.next;
  if (entries.length >= args.limit) return args.next;
  if (chunk.kind === "gap")
    return append(entries, { ...args, next: { attempt, line: Math.max(args.next.line, chunk.firstLine) } });
  const lines = chunk.lines ?? [];
  for (let line = Math.max(args.next.line, chunk.firstLine); line < chunk.firstLine + lines.length; line++) {
    if (entries.length >= args.limit) return { attempt, line };
    const found = lines[line - chunk.firstLine];
    const isWanted =
      found &&
      isShown(found, args.levels) &&
      (text === undefined || chunk.stored !== null || searchedText(found).includes(text)) &&
      (task === undefined || isOf(found, task));
    if (isWanted) entries.push(lineEntry(chunk, { attempt, index: line - chunk.firstLine, line: found }));
  }
  return { attempt, line: chunk.firstLine + chunk.lineCount };
}

/** Appends a gap for lines up to a given one, which are past their retention. */
function skip(entries: Entry[], args: { next: LogCursor; line: number }): LogCursor {
  const { attempt, line } = args.next;
  entries.push({ kind: "gap", attempt, line, count: args.line - line, reason: "no longer kept" });
  return { attempt, line: args.line };
}

/** Appends the entries of a chunk from the cursor on, up to the limit. @returns the cursor after them */
function append(entries: Entry[], args: { chunk: ChunkRow; next: LogCursor; limit: number }): LogCursor {
  const { chunk } = args;
  if (entries.length < args.limit && chunk.firstLine > args.next.line) {
    return append(entries, { ...args, next: skip(entries, { next: args.next, line: chunk.firstLine }) });
  }
  const { attempt } = args.next;
  const end = chunk.firstLine + chunk.lineCount;
  let { line } = args.next;
  if (chunk.kind === "gap") {
    if (entries.length >= args.limit || end <= line) return args.next;
    entries.push({ kind: "gap", attempt, line, count: end - line, reason: chunk.reason ?? "" });
    return { attempt, line: end };
  }
  const lines = chunk.lines ?? [];
  for (; line < end && entries.length < args.limit; line++) {
    const index = line - chunk.firstLine;
    const found = lines[index];
    if (found !== undefined) entries.push(lineEntry(chunk, { attempt, index, line: found }));
  }
  return { attempt, line };
}

/**
 * Artifacts of a run by key, each with its latest body.
 * @throws Problem `run-not-found`; `bad-request` for a cursor that no list gave out.
 */
export async function listArtifacts(
  deps: Deps,
  scope: InWorkspace,
  args: { runId: string; limit: number; cursor?: string | undefined },
): Promise<{ items: Artifact[]; next: string | null }> {
  const from = deps.database.reads;
  const name = { workspaceId: scope.workspaceId, runId: args.runId };
  await existingRun(from, name);
  const after = readCursor(args.cursor, z.tuple([z.string().max(200)]))?.[0] ?? "";
  const found = await listArtifactRows(from, { ...name, after, limit: args.limit + 1 });
  return pageOf(found, { limit: args.limit, item: artifactOf, key: (row) => [row.key] });
}
