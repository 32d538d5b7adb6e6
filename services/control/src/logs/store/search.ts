import { type SQL, sql } from "#sql";
import { numberArray, type Queryable, rows } from "../../kernel/index.ts";
import { bitsOf, type Levels, marksOf } from "../levels.ts";

/** What is searched: the lines of an attempt that are shown, as searches see them. */
export interface Searched {
  readonly workspaceId: string;
  readonly attemptId: string;
  readonly levels: Levels;
}

/** Some lines of an attempt, from one up to, without, another. */
export interface Slice {
  readonly from: number;
  readonly to: number;
}

/** As much of a log as one statement searches, bytes of lines: 30 to 60 ms, so that a reader who leaves is soon heard. */
const SLICE_BYTES = 12 * 1024 * 1024;

/** Cuts an attempt's log into slices of about the same size, without reading lines. One walk over its chunks. */
export async function listSlices(from: Queryable, args: Searched & { nextLine: number }): Promise<Slice[]> {
  const found = await rows<{ line: string }>(
    from,
    sql`select min(s.first_line)::text as line from (
        select l.first_line, sum(l.size_bytes) over (order by l.first_line) / ${SLICE_BYTES}::bigint as slice
        from log_chunk l
        where l.workspace_id = ${args.workspaceId} and l.attempt_id = ${args.attemptId}
          and l.levels & ${bitsOf(args.levels)}::smallint <> 0 and l.plain is not null
      ) s group by s.slice order by min(s.first_line)`,
  );
  const starts = found.map(({ line }) => Number(line));
  return starts.map((start, index) => ({ from: start, to: starts[index + 1] ?? args.nextLine }));
}

/** Whether a line is of the levels that are shown. Not asked where all are: it is a third of a common text's cost. */
function ofLevels(levels: Levels, line: SQL): SQL {
  return levels === null ? sql`` : sql`and strpos(${marksOf(levels)}, left(${line}, 1)) > 0`;
}

/** A chunk that has what was searched for, and how many of its lines do. */
export interface FoundChunk {
  readonly firstLine: number;
  readonly lines: number;
}

/**
 * The chunks of a slice that have a text, in order. Whether a chunk has it is asked of all its lines at once; only then are
 * they told apart. Measured on 1,000,000 lines (Postgres 15 and 18, one connection): 115 ms for a text that one line has,
 * 230 to 390 ms for one that many have; their JSON took 1.4 s.
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
