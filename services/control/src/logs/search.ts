import { FINDS_MAX, type LogFilter, type LogFinds, searchable } from "@towpath/contract";
import type { Deps, Queryable, Scope } from "../kernel/index.ts";
import { existingRun, type LogSource, listLogSources } from "../runs/index.ts";
import { chosen, formatLogCursor, type LogCursor, parseLogCursor } from "./read.ts";
import {
  type FoundChunk,
  listFinds,
  listSlices,
  type Searched,
  type Slice,
  searchSlice,
} from "./store/search.ts";
import type { Turns } from "./turns.ts";

/** Slices that all searches of a process look through at once: half of the connections for reads stay free. */
export const SEARCHES_AT_ONCE = 2;

/** How long one search goes on, milliseconds: some ten million lines. What was found until then is the answer. */
const SEARCH_MS = 4_000;

/** Finds before the line asked from that are listed beside those after it. */
const LISTED_BEFORE = FINDS_MAX / 4;

/** A search through a run's log. */
export interface SearchRequest extends LogFilter {
  readonly runId: string;
  readonly text: string;
  readonly from: string;
  readonly signal: AbortSignal;
  readonly turns: Turns;
  /** @default four seconds */
  readonly timeMs?: number;
}

/** A slice of one attempt's log. */
interface Stretch extends Slice {
  readonly ordinal: number;
  readonly searched: Searched;
}

/** A chunk that has the text, and how many finds were before it. */
interface Found extends FoundChunk {
  readonly stretch: Stretch;
  readonly before: number;
}

/**
 * Looks for a text in a run's log, slice by slice, for a bounded time, until whoever asked has gone.
 * @throws Problem `run-not-found`.
 */
export async function searchLogs(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  a: SearchRequest,
): Promise<LogFinds> {
  const from = deps.database.reads;
  const { workspaceId } = scope;
  const name = { workspaceId, runId: a.runId };
  await existingRun(from, name);
  const sources = chosen(await listLogSources(from, deps.clock, name), a.attempt);
  const stretches = await cut(from, { workspaceId, sources, levels: a.levels ?? null });
  const text = searchable(a.text);
  const { found, searched, whole } = await lookThrough(from, { ...a, text, stretches });
  return { ...(await around(from, { found, text, line: parseLogCursor(a.from) })), searched, whole };
}

async function cut(
  from: Queryable,
  a: { workspaceId: string; sources: readonly LogSource[]; levels: Searched["levels"] },
): Promise<Stretch[]> {
  const stretches: Stretch[] = [];
  for (const { attemptId, ordinal, nextLine } of a.sources) {
    const searched = { workspaceId: a.workspaceId, attemptId, levels: a.levels };
    const slices = await listSlices(from, { ...searched, nextLine });
    stretches.push(...slices.map((slice) => ({ ...slice, ordinal, searched })));
  }
  return stretches;
}

/** Searches as many stretches, from the first on, as there is time for. */
async function lookThrough(
  from: Queryable,
  a: Pick<SearchRequest, "turns" | "signal" | "timeMs"> & { text: string; stretches: readonly Stretch[] },
): Promise<{ found: Found[]; searched: number; whole: boolean }> {
  const untilMs = performance.now() + (a.timeMs ?? SEARCH_MS);
  const chunks: (FoundChunk[] | undefined)[] = [];
  let next = 0;
  const walk = async () => {
    while (next < a.stretches.length && performance.now() < untilMs && !a.signal.aborted) {
      const index = next++;
      const stretch = a.stretches[index];
      if (stretch === undefined) return;
      chunks[index] = await a.turns.take(() =>
        searchSlice(from, { ...stretch.searched, text: a.text, slice: stretch }),
      );
    }
  };
  await Promise.all(Array.from({ length: SEARCHES_AT_ONCE }, walk));
  const found: Found[] = [];
  let [before, searched] = [0, 0];
  for (const [index, stretch] of a.stretches.entries()) {
    for (const chunk of chunks[index] ?? []) {
      found.push({ ...chunk, stretch, before });
      before += chunk.lines;
    }
    if (chunks[index] !== undefined) searched += stretch.to - stretch.from;
  }
  return { found, searched, whole: next >= a.stretches.length };
}

const isBefore = (a: LogCursor, b: LogCursor) =>
  a.attempt < b.attempt || (a.attempt === b.attempt && a.line < b.line);

/** The finds around a line, with the numbers that they have among all. */
async function around(
  from: Queryable,
  a: { found: readonly Found[]; text: string; line: LogCursor },
): Promise<Pick<LogFinds, "lines" | "at" | "first" | "finds">> {
  const last = a.found.at(-1);
  const lines = last === undefined ? 0 : last.before + last.lines;
  // The chunk that may hold the line, and with it those whose finds could be listed.
  const near = Math.max(
    0,
    a.found.findLastIndex(
      ({ stretch, firstLine }) => !isBefore(a.line, { attempt: stretch.ordinal, line: firstLine }),
    ),
  );
  const center = a.found[near]?.before ?? 0;
  const until = center + (a.found[near]?.lines ?? 0) + FINDS_MAX;
  const listed = a.found.filter(
    (chunk) => chunk.before + chunk.lines > center - LISTED_BEFORE && chunk.before < until,
  );
  const places = await placesOf(from, { chunks: listed, text: a.text });
  const start = listed[0]?.before ?? 0;
  const after = places.findIndex((place) => !isBefore(place, a.line));
  const at = after === -1 ? start + places.length : start + after;
  const cutOff = Math.max(0, Math.min(at - start - LISTED_BEFORE, places.length - FINDS_MAX));
  const finds = places.slice(cutOff, cutOff + FINDS_MAX).map(formatLogCursor);
  return { lines, at, first: start + cutOff, finds };
}

/** The lines of chunks that have the text, in order, attempt by attempt. */
async function placesOf(
  from: Queryable,
  a: { chunks: readonly Found[]; text: string },
): Promise<LogCursor[]> {
  const places: LogCursor[] = [];
  for (const [ordinal, chunks] of Map.groupBy(a.chunks, ({ stretch }) => stretch.ordinal)) {
    const [one] = chunks;
    if (one === undefined) continue;
    const { searched } = one.stretch;
    const lines = await listFinds(from, {
      ...searched,
      text: a.text,
      chunks: chunks.map(({ firstLine }) => firstLine),
    });
    places.push(...lines.map((line) => ({ attempt: ordinal, line })));
  }
  return places;
}
