import { FINDS_MAX, type LogFilter, type LogFinds, searchable } from "@towpath/contract";
import type { LimitFunction } from "p-limit";
import type { Deps, Queryable, Scope } from "../kernel/index.ts";
import { type LogSource, readLogSources } from "../runs/index.ts";
import { chosen, formatLogCursor, type LogCursor, parseLogCursor } from "./read.ts";
import {
  type FoundChunk,
  listFinds,
  listSlices,
  type Searched,
  type Slice,
  searchSlice,
} from "./store/search.ts";

/** The most slices that all searches of a process read at once. Half of the connections for reads stay free. */
export const SEARCHES_AT_ONCE = 2;

/** The longest time of one search, milliseconds. The answer has the finds up to then. */
const SEARCH_MS = 4_000;

/** How many finds before the requested line are listed. */
const LISTED_BEFORE = FINDS_MAX / 4;

/** A search through a run's log. */
export interface SearchRequest extends LogFilter {
  readonly runId: string;
  readonly text: string;
  readonly from: string;
  readonly signal: AbortSignal;
  /** Limits the slices that are read at once. All searches of a process share it. */
  readonly slices: LimitFunction;
  /** @default four seconds */
  readonly timeMs?: number;
}

/** A slice of one attempt's log. */
interface Stretch extends Slice {
  readonly ordinal: number;
  readonly searched: Searched;
}

/** A chunk with finds, and the number of finds before it. */
interface Found extends FoundChunk {
  readonly stretch: Stretch;
  readonly before: number;
}

/**
 * Searches a run's log for a text, slice by slice, until the time is up or the caller has gone.
 * @throws Problem `run-not-found`.
 */
export async function searchLogs(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: SearchRequest,
): Promise<LogFinds> {
  const from = deps.database.reads;
  const { workspaceId } = scope;
  const name = { workspaceId, runId: args.runId };
  const { sources: all } = await readLogSources(from, deps.clock, name);
  const sources = chosen(all, args.attempt);
  const { stretches, stored } = await cut(from, { workspaceId, sources, levels: args.levels ?? null });
  const text = searchable(args.text);
  const { found, searched, whole } = await lookThrough(from, { ...args, text, stretches });
  return {
    ...(await around(from, { found, text, line: parseLogCursor(args.from) })),
    searched,
    whole,
    stored,
  };
}

async function cut(
  from: Queryable,
  args: { workspaceId: string; sources: readonly LogSource[]; levels: Searched["levels"] },
): Promise<{ stretches: Stretch[]; stored: number }> {
  const stretches: Stretch[] = [];
  let stored = 0;
  for (const { attemptId, ordinal, nextLine } of args.sources) {
    const searched = { workspaceId: args.workspaceId, attemptId, levels: args.levels };
    const listed = await listSlices(from, { ...searched, nextLine });
    stretches.push(...listed.slices.map((slice) => ({ ...slice, ordinal, searched })));
    stored += listed.stored;
  }
  return { stretches, stored };
}

/** Searches stretches from the first one on until the time is up. */
async function lookThrough(
  from: Queryable,
  args: Pick<SearchRequest, "slices" | "signal" | "timeMs"> & { text: string; stretches: readonly Stretch[] },
): Promise<{ found: Found[]; searched: number; whole: boolean }> {
  const untilMs = performance.now() + (args.timeMs ?? SEARCH_MS);
  const chunks: (FoundChunk[] | undefined)[] = [];
  let next = 0;
  const walk = async () => {
    while (next < args.stretches.length && performance.now() < untilMs && !args.signal.aborted) {
      const index = next++;
      const stretch = args.stretches[index];
      if (stretch === undefined) return;
      chunks[index] = await args.slices(() =>
        searchSlice(from, { ...stretch.searched, text: args.text, slice: stretch }),
      );
    }
  };
  await Promise.all(Array.from({ length: SEARCHES_AT_ONCE }, walk));
  const found: Found[] = [];
  let [before, searched] = [0, 0];
  for (const [index, stretch] of args.stretches.entries()) {
    for (const chunk of chunks[index] ?? []) {
      found.push({ ...chunk, stretch, before });
      before += chunk.lines;
    }
    if (chunks[index] !== undefined) searched += stretch.to - stretch.from;
  }
  return { found, searched, whole: next >= args.stretches.length };
}

const isBefore = (a: LogCursor, b: LogCursor) =>
  a.attempt < b.attempt || (a.attempt === b.attempt && a.line < b.line);

/** The finds around a line, numbered among all finds. */
async function around(
  from: Queryable,
  args: { found: readonly Found[]; text: string; line: LogCursor },
): Promise<Pick<LogFinds, "lines" | "at" | "first" | "finds">> {
  const last = args.found.at(-1);
  const lines = last === undefined ? 0 : last.before + last.lines;
  // The chunk that may hold the line. The list has finds of this chunk and of its neighbours.
  const near = Math.max(
    0,
    args.found.findLastIndex(
      ({ stretch, firstLine }) => !isBefore(args.line, { attempt: stretch.ordinal, line: firstLine }),
    ),
  );
  const center = args.found[near]?.before ?? 0;
  const until = center + (args.found[near]?.lines ?? 0) + FINDS_MAX;
  const listed = args.found.filter(
    (chunk) => chunk.before + chunk.lines > center - LISTED_BEFORE && chunk.before < until,
  );
  const positions = await positionsOf(from, { chunks: listed, text: args.text });
  const start = listed[0]?.before ?? 0;
  const after = positions.findIndex((position) => !isBefore(position, args.line));
  const at = after === -1 ? start + positions.length : start + after;
  const cutOff = Math.max(0, Math.min(at - start - LISTED_BEFORE, positions.length - FINDS_MAX));
  const finds = positions.slice(cutOff, cutOff + FINDS_MAX).map(formatLogCursor);
  return { lines, at, first: start + cutOff, finds };
}

/** The lines of chunks that have the text, in order, attempt by attempt. */
async function positionsOf(
  from: Queryable,
  args: { chunks: readonly Found[]; text: string },
): Promise<LogCursor[]> {
  const positions: LogCursor[] = [];
  for (const [ordinal, chunks] of Map.groupBy(args.chunks, ({ stretch }) => stretch.ordinal)) {
    const [one] = chunks;
    if (one === undefined) continue;
    const { searched } = one.stretch;
    const lines = await listFinds(from, {
      ...searched,
      text: args.text,
      chunks: chunks.map(({ firstLine }) => firstLine),
    });
    positions.push(...lines.map((line) => ({ attempt: ordinal, line })));
  }
  return positions;
}
