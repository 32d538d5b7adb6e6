import { sql } from "#sql";
import { columns, type Queryable, type RawRow, rowOf, rows, textArray } from "../../kernel/index.ts";
import { bitsOf } from "../levels.ts";
import { artifact, logChunk } from "../table.ts";

/** A stored chunk of lines, or a gap, without its searchable text. */
export type ChunkRow = Omit<typeof logChunk.$inferSelect, "plain">;

const UNREAD = ["plain"] as const;

const ANY_BITS = bitsOf(null);

/** The most bytes of lines in one read. The last chunk may exceed it. */
const CHUNK_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Chunks of an attempt from the one that holds a line, up to a number of chunks and of bytes. Keeps chunks with a level of
 * `bits`, with `text` in their searchable text or texts in the customer's store, and with a task path that begins with `task`. The
 * path is searched in the lines' JSON text. Primary key of one partition.
 */
export async function listChunks(
  from: Queryable,
  args: {
    workspaceId: string;
    attemptId: string;
    line: number;
    limit: number;
    bits?: number;
    text?: string | undefined;
    task?: string | undefined;
    to?: number;
  },
): Promise<ChunkRow[]> {
  const where = sql`l.attempt_id = ${args.attemptId} and l.workspace_id = ${args.workspaceId}`;
  const has =
    args.text === undefined ? sql`` : sql`and (strpos(l.plain, ${args.text}) > 0 or l.stored is not null)`;
  const begins = `"task":${JSON.stringify(args.task ?? "").slice(0, -1)}`;
  const of = args.task === undefined ? sql`` : sql`and strpos(l.lines::text, ${begins}) > 0`;
  const upTo = args.to === undefined ? sql`` : sql`and l.first_line < ${args.to}`;
  const raws = await rows<RawRow>(
    from,
    sql`select * from (
        select ${columns(logChunk, "l", UNREAD)}, sum(l.size_bytes) over (order by l.first_line) - l.size_bytes as bytes_before
        from (
          select * from log_chunk l
          where ${where} and l.first_line >= coalesce((
            select max(l.first_line) from log_chunk l where ${where} and l.first_line <= ${args.line}), 0)
            and l.first_line + l.line_count > ${args.line} and l.levels & ${args.bits ?? ANY_BITS}::smallint <> 0 ${has} ${of} ${upTo}
          order by l.first_line limit ${args.limit}
        ) l
      ) c where c.bytes_before < ${CHUNK_BYTES_MAX} order by c.first_line`,
  );
  return raws.map((raw) => rowOf(logChunk, raw, UNREAD));
}

/** The artifacts of a run by key, each of the latest attempt that has the key. Index artifact_run. */
export async function listArtifactRows(
  from: Queryable,
  args: { workspaceId: string; runId: string; after: string; limit: number },
): Promise<(typeof artifact.$inferSelect)[]> {
  const raws = await rows<RawRow>(
    from,
    sql`select distinct on (a.key) ${columns(artifact, "a")} from artifact a
      where a.workspace_id = ${args.workspaceId} and a.run_id = ${args.runId} and a.key > ${args.after}
      order by a.key, a.attempt desc limit ${args.limit}`,
  );
  return raws.map((raw) => rowOf(artifact, raw));
}

/** Artifacts of a run by their names, without those that do not exist. Primary key. */
export async function findArtifactRows(
  from: Queryable,
  args: { workspaceId: string; runId: string; names: readonly { attemptId: string; key: string }[] },
): Promise<(typeof artifact.$inferSelect)[]> {
  if (args.names.length === 0) return [];
  const raws = await rows<RawRow>(
    from,
    sql`select ${columns(artifact, "a")} from artifact a
      join unnest(${textArray(args.names.map((one) => one.attemptId))}::uuid[],
        ${textArray(args.names.map((one) => one.key))}::text[]) as n (attempt_id, key)
        on a.attempt_id = n.attempt_id and a.key = n.key
      where a.workspace_id = ${args.workspaceId} and a.run_id = ${args.runId}`,
  );
  return raws.map((raw) => rowOf(artifact, raw));
}

/** Whether a run has committed changes without a position. Index change_unstamped. */
export async function hasUnstamped(
  from: Queryable,
  args: { workspaceId: string; runId: string },
): Promise<boolean> {
  const [found] = await rows<{ unstamped: boolean }>(
    from,
    sql`select exists (select 1 from change
      where position is null and workspace_id = ${args.workspaceId} and run_id = ${args.runId}) as unstamped`,
  );
  return found?.unstamped ?? false;
}

/** Whether the feed still has every change after a position. Old changes are deleted. Index change_position. */
export async function reachesBackTo(from: Queryable, position: number): Promise<boolean> {
  const [found] = await rows<{ oldest: string | null; last: string }>(
    from,
    sql`select last_position::text as last,
        (select position::text from change where position is not null order by position limit 1) as oldest
      from change_feed`,
  );
  const last = Number(found?.last ?? 0);
  const oldest = found?.oldest == null ? last + 1 : Number(found.oldest);
  return position >= oldest - 1 && position <= last;
}
