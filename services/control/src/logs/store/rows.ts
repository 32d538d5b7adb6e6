import { LOG_LEVELS, type LogLevel } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { type Queryable, rows } from "../../kernel/index.ts";
import type { Levels } from "../levels.ts";

/** An attempt's log by its tenant. */
interface Log {
  readonly workspaceId: string;
  readonly attemptId: string;
}

const TOTALS: Readonly<Record<LogLevel, SQL>> = {
  debug: sql`l.debug_total`,
  info: sql`l.info_total`,
  warn: sql`l.warn_total`,
  error: sql`l.error_total`,
};

/** The number of rows of an attempt up to the end of chunk `l`: shown lines, and gaps. */
function rowsUpTo(levels: Levels): SQL {
  const shown = (levels ?? LOG_LEVELS).map((level) => TOTALS[level]);
  return sql`(${sql.join([...shown, sql`l.gap_total`], sql` + `)})`;
}

const whereOf = (args: Log) => sql`l.workspace_id = ${args.workspaceId} and l.attempt_id = ${args.attemptId}`;

/** The kept part of an attempt's log. */
export interface LogExtent {
  /** The first kept line. */
  readonly firstLine: number;
  /** The line after the last kept one. */
  readonly nextLine: number;
  readonly levels: Readonly<Record<LogLevel, number>>;
  readonly gaps: number;
}

/** Reads the kept part of an attempt's log; null if there is none. Both ends of the primary key. */
export async function readExtent(from: Queryable, args: Log): Promise<LogExtent | null> {
  const where = whereOf(args);
  const [found] = await rows<Record<LogLevel | "firstLine" | "nextLine" | "gaps", string>>(
    from,
    sql`select l.debug_total::text as debug, l.info_total::text as info, l.warn_total::text as warn,
        l.error_total::text as error, l.gap_total::text as gaps, (l.first_line + l.line_count)::text as "nextLine",
        (select min(l.first_line)::text from log_chunk l where ${where}) as "firstLine"
      from log_chunk l where ${where} order by l.first_line desc limit 1`,
  );
  if (found === undefined) return null;
  const { debug, info, warn, error } = found;
  const levels = { debug: Number(debug), info: Number(info), warn: Number(warn), error: Number(error) };
  const { firstLine, nextLine, gaps } = found;
  return { firstLine: Number(firstLine), nextLine: Number(nextLine), levels, gaps: Number(gaps) };
}

/**
 * The first line of the chunk that holds a row, or null past the end. A binary search over line numbers, since the rows up
 * to a chunk only grow: about twenty probes of the primary key for a million chunks.
 */
export async function findRow(
  from: Queryable,
  args: Log & { levels: Levels; row: number; firstLine: number; nextLine: number },
): Promise<number | null> {
  const [found] = await rows<{ line: string | null }>(
    from,
    sql`with recursive probe as (
        select ${args.firstLine}::bigint as low, ${args.nextLine}::bigint as high, null::bigint as line
        union all
        select case when c.past then p.low else greatest(c.next_line, (p.low + p.high) / 2 + 1) end,
          case when c.past then c.first_line else p.high end, case when c.past then c.first_line else p.line end
        from probe p cross join lateral (
          select l.first_line, l.first_line + l.line_count as next_line, ${rowsUpTo(args.levels)} > ${args.row}::bigint as past
          from log_chunk l where ${whereOf(args)} and l.first_line <= (p.low + p.high) / 2
          order by l.first_line desc limit 1) c
        where p.low < p.high
      ) select min(line)::text as line from probe`,
  );
  return found?.line == null ? null : Number(found.line);
}

/**
 * The line after the last chunk that begins at or before an instant of its worker's clock. Lines are mostly in the order of
 * that clock. A binary search like `findRow`. Instants are compared as JSON: Postgres cannot convert a line with U+0000 to
 * text.
 */
export async function findChunkAt(
  from: Queryable,
  args: Log & { at: string; firstLine: number; nextLine: number },
): Promise<number> {
  const [found] = await rows<{ line: string }>(
    from,
    sql`with recursive probe as (
        select ${args.firstLine}::bigint as low, ${args.nextLine}::bigint as high
        union all
        select case when c.later then p.low else greatest(c.next_line, (p.low + p.high) / 2 + 1) end,
          case when c.later then c.first_line else p.high end
        from probe p cross join lateral (
          select l.first_line, l.first_line + l.line_count as next_line,
            coalesce((l.lines -> 0 -> 'at')::text, '') > ${JSON.stringify(args.at)} as later
          from log_chunk l where ${whereOf(args)} and l.first_line <= (p.low + p.high) / 2
          order by l.first_line desc limit 1) c
        where p.low < p.high
      ) select max(low)::text as line from probe`,
  );
  return Number(found?.line ?? args.nextLine);
}
