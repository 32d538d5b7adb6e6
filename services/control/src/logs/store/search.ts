import { type SQL, sql } from "#sql";
import { numberArray, type Queryable, rows } from "../../kernel/index.ts";
import { bitsOf, type Levels, marksOf } from "../levels.ts";

/** The searched lines: the shown lines of an attempt. */
export interface Searched {
  readonly workspaceId: string;
  readonly attemptId: string;
  readonly levels: Levels;
}

/** Lines of an attempt, from `from` (inclusive) to `to` (exclusive). */
export interface Slice {
  readonly from: number;
  readonly to: number;
}

/** The lines that one statement searches, bytes. Small enough that a search soon notices that its caller has gone. */
const SLICE_BYTES = 12 * 1024 * 1024;

/**
 * Cuts an attempt's log into slices of about the same size, without reading lines, and counts the lines whose texts are in the customer's
 * store. One walk over its chunks.
 */
export async function listSlices(
  from: Queryable,
  args: Searched & { nextLine: number },
): Promise<{ slices: Slice[]; stored: number }> {
  const found = await rows<{ line: string; stored: string }>(
    from,
    sql`select min(s.first_line)::text as line, coalesce(sum(s.line_count) filter (where s.is_stored), 0)::text as stored from (
        select l.first_line, l.line_count, l.stored is not null as is_stored, sum(l.size_bytes) over (order by l.first_line) / ${SLICE_BYTES}::bigint as slice
        from log_chunk l
        where l.workspace_id = ${args.workspaceId} and l.attempt_id = ${args.attemptId}
          and l.levels & ${bitsOf(args.levels)}::smallint <> 0 and l.plain is not null
      ) s group by s.slice order by min(s.first_line)`,
  );
  const starts = found.map(({ line }) => Number(line));
  const slices = starts.map((start, index) => ({ from: start, to: starts[index + 1] ?? args.nextLine }));
  return { slices, stored: found.reduce((sum, { stored }) => sum + Number(stored), 0) };
}

/** Whether a line's level is shown. Left out when all are shown, since the check is expensive. */
function ofLevels(levels: Levels, line: SQL): SQL {
  return levels === null ? sql`` : sql`and strpos(${marksOf(levels)}, left(${line}, 1)) > 0`;
}

/** A chunk with finds, and the number of its lines that have the text. */
export interface FoundChunk {
  readonly firstLine: number;
  readonly lines: number;
}

/**
 * The chunks of a slice that have a text, in order. A chunk is checked as one text first, and its lines are separated only
 * if it has the text: that is far faster than reading the lines' JSON.
 */
export async function searchSlice(
  from: Queryable,
  args: Searched & { text: string; slice: Slice },
): Promise<FoundChunk[]> {
  const found = await rows<{ line: string; lines: number }>(
    from,
    sql`select l.first_line::text as line, c.lines
      from log_chunk l cross join lateral (
        select count(*)::int as lines from string_to_table(l.plain, chr(10)) t
        where strpos(t, ${args.text}) > 0 ${ofLevels(args.levels, sql`t`)}) c
      where l.workspace_id = ${args.workspaceId} and l.attempt_id = ${args.attemptId}
        and l.first_line >= ${args.slice.from} and l.first_line < ${args.slice.to}
        and l.levels & ${bitsOf(args.levels)}::smallint <> 0 and strpos(l.plain, ${args.text}) > 0 and c.lines > 0
      order by l.first_line`,
  );
  return found.map(({ line, lines }) => ({ firstLine: Number(line), lines }));
}

/** The numbers of the lines of some chunks that have a text, in order. Primary key. */
export async function listFinds(
  from: Queryable,
  args: Searched & { text: string; chunks: readonly number[] },
): Promise<number[]> {
  const found = await rows<{ line: string }>(
    from,
    sql`select (l.first_line + t.ord - 1)::text as line
      from log_chunk l, unnest(string_to_array(l.plain, chr(10))) with ordinality as t (line, ord)
      where l.workspace_id = ${args.workspaceId} and l.attempt_id = ${args.attemptId}
        and l.first_line = any(${numberArray(args.chunks)}::bigint[])
        and strpos(t.line, ${args.text}) > 0 ${ofLevels(args.levels, sql`t.line`)}
      order by l.first_line, t.ord`,
  );
  return found.map(({ line }) => Number(line));
}
