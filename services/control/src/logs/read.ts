import type { Artifact, LogPage } from "@towpath/contract";
import { z } from "zod";
import { type Deps, pageOf, type Queryable, readCursor, type Scope } from "../kernel/index.ts";
import { existingRun, hasEnded, type LogSource, listLogSources } from "../runs/index.ts";
import { type ChunkRow, listArtifactRows, listChunks } from "./store/read.ts";
import { artifactOf } from "./wire.ts";

type Tenant = Pick<Scope, "workspaceId">;
type Entry = LogPage["entries"][number];

/** The next line to read: of which attempt, and its number. */
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

/**
 * A stretch of a run's log, attempt after attempt, with gaps where lines were lost.
 * @throws Problem `run-not-found`.
 */
export async function getLogs(
  deps: Deps,
  scope: Tenant,
  a: { runId: string; after: string; limit: number },
): Promise<LogPage> {
  const from = deps.database.reads;
  const name = { workspaceId: scope.workspaceId, runId: a.runId };
  // The run first: if it has ended by now, then all that it wrote is among what is read after.
  const ended = hasEnded(await existingRun(from, name));
  const sources = await listLogSources(from, deps.clock, name);
  const page = await readLog(from, {
    ...{ workspaceId: scope.workspaceId, sources, limit: a.limit },
    after: parseLogCursor(a.after),
  });
  return { entries: page.entries, next: formatLogCursor(page.next), end: ended && page.exhausted };
}

/**
 * Reads entries after a cursor. Stays at an attempt until its log is closed, so that no line is passed over.
 * `exhausted`: every attempt's log is closed and read to its end.
 */
export async function readLog(
  from: Queryable,
  a: { workspaceId: string; sources: readonly LogSource[]; after: LogCursor; limit: number },
): Promise<{ entries: Entry[]; next: LogCursor; exhausted: boolean }> {
  const entries: Entry[] = [];
  let next = a.after;
  for (const source of a.sources) {
    if (source.ordinal < next.attempt) continue;
    if (source.ordinal > next.attempt) next = { attempt: source.ordinal, line: 0 };
    while (next.line < source.nextLine && entries.length < a.limit) {
      const limit = a.limit - entries.length;
      const { attemptId } = source;
      const chunks = await listChunks(from, {
        workspaceId: a.workspaceId,
        attemptId,
        line: next.line,
        limit,
      });
      if (chunks.length === 0) next = skip(entries, { next, line: source.nextLine });
      for (const chunk of chunks) next = append(entries, { chunk, next, limit: a.limit });
    }
    if (!source.closed || next.line < source.nextLine) return { entries, next, exhausted: false };
  }
  return { entries, next, exhausted: true };
}

/** Says that lines up to one are gone: they were stored once, and are past their retention. */
function skip(entries: Entry[], a: { next: LogCursor; line: number }): LogCursor {
  const { attempt, line } = a.next;
  entries.push({ kind: "gap", attempt, line, count: a.line - line, reason: "no longer kept" });
  return { attempt, line: a.line };
}

/** Appends what a chunk holds from the cursor on, up to the limit, and moves the cursor past it. */
function append(entries: Entry[], a: { chunk: ChunkRow; next: LogCursor; limit: number }): LogCursor {
  const { chunk } = a;
  if (entries.length < a.limit && chunk.firstLine > a.next.line) {
    return append(entries, { ...a, next: skip(entries, { next: a.next, line: chunk.firstLine }) });
  }
  const { attempt } = a.next;
  const end = chunk.firstLine + chunk.lineCount;
  let { line } = a.next;
  if (chunk.kind === "gap") {
    if (entries.length >= a.limit || end <= line) return a.next;
    entries.push({ kind: "gap", attempt, line, count: end - line, reason: chunk.reason ?? "" });
    return { attempt, line: end };
  }
  const lines = chunk.lines ?? [];
  for (; line < end && entries.length < a.limit; line++) {
    const found = lines[line - chunk.firstLine];
    if (found !== undefined) entries.push({ kind: "line", attempt, line, ...found });
  }
  return { attempt, line };
}

/**
 * Artifacts of a run by key: the latest body under each.
 * @throws Problem `run-not-found`; `bad-request` for a cursor that no list gave out.
 */
export async function listArtifacts(
  deps: Deps,
  scope: Tenant,
  a: { runId: string; limit: number; cursor?: string | undefined },
): Promise<{ items: Artifact[]; next: string | null }> {
  const from = deps.database.reads;
  const name = { workspaceId: scope.workspaceId, runId: a.runId };
  await existingRun(from, name);
  const after = readCursor(a.cursor, z.tuple([z.string().max(200)]))?.[0] ?? "";
  const found = await listArtifactRows(from, { ...name, after, limit: a.limit + 1 });
  return pageOf(found, { limit: a.limit, item: artifactOf, key: (row) => [row.key] });
}
