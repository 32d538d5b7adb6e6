import type { ArtifactBody, LogLine, StoredLines } from "@towpath/contract";
import { sql } from "#sql";
import { type Clock, now, numberArray, rows, type Tx, textArray } from "../../kernel/index.ts";
import { summarise } from "../levels.ts";

/** A chunk of an attempt's log to store. */
export interface NewChunk {
  readonly firstLine: number;
  readonly lineCount: number;
  /** Null for a gap. */
  readonly lines: readonly LogLine[] | null;
  readonly reason: string | null;
  /** Where the texts of the lines are. Missing: in the lines. */
  readonly stored?: StoredLines;
  /** When the chunk arrived, for imported logs. Missing: now. */
  readonly receivedAt?: Date;
}

/** An artifact's latest body. */
export interface NewArtifact {
  readonly key: string;
  readonly title: string;
  readonly task: string | null;
  readonly body: ArtifactBody;
  readonly at: string;
}

/**
 * Stores chunks of lines, one statement for all attempts of a report. Lines are stored as JSON text, so that a line may have
 * any character, with the totals of the attempt up to the chunk. The caller holds the attempts' locks, or concurrent calls
 * could compute wrong totals.
 */
export async function insertChunks(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; chunks: readonly (NewChunk & { attemptId: string })[] },
): Promise<void> {
  if (args.chunks.length === 0) return;
  const lines = args.chunks.map((chunk) => (chunk.lines === null ? null : JSON.stringify(chunk.lines)));
  const sums = args.chunks.map((chunk) => summarise(chunk.lines));
  const counted = (index: number) => numberArray(sums.map((sum) => sum.counts[index] ?? 0));
  await rows(
    tx,
    sql`insert into log_chunk (attempt_id, first_line, line_count, workspace_id, kind, lines, reason, size_bytes,
        received_at, levels, plain, stored, debug_total, info_total, warn_total, error_total, gap_total)
      select c.attempt_id, c.first_line, c.line_count, ${args.workspaceId}::uuid,
        case when c.lines is null then 'gap' else 'line' end, c.lines::json, c.reason,
        coalesce(octet_length(c.lines), 0), coalesce(c.received_at, ${now(clock)}), c.levels, c.plain, c.stored,
        coalesce(p.debug_total, 0) + sum(c.debug) over upto, coalesce(p.info_total, 0) + sum(c.info) over upto,
        coalesce(p.warn_total, 0) + sum(c.warn) over upto, coalesce(p.error_total, 0) + sum(c.error) over upto,
        coalesce(p.gap_total, 0) + sum(c.gap) over upto
      from unnest(${textArray(args.chunks.map((chunk) => chunk.attemptId))}::uuid[],
        ${numberArray(args.chunks.map((chunk) => chunk.firstLine))}::bigint[],
        ${numberArray(args.chunks.map((chunk) => chunk.lineCount))}::bigint[],
        ${textArray(lines)}::text[], ${textArray(args.chunks.map((chunk) => chunk.reason))}::text[],
        ${numberArray(sums.map((sum) => sum.bits))}::smallint[], ${textArray(sums.map((sum) => sum.plain))}::text[],
        ${counted(0)}::bigint[], ${counted(1)}::bigint[], ${counted(2)}::bigint[], ${counted(3)}::bigint[],
        ${counted(4)}::bigint[],
        ${textArray(args.chunks.map((chunk) => chunk.receivedAt?.toISOString() ?? null))}::timestamptz[],
        ${textArray(args.chunks.map(({ stored }) => (stored === undefined ? null : JSON.stringify(stored))))}::json[])
        as c (attempt_id, first_line, line_count, lines, reason, levels, plain, debug, info, warn, error, gap, received_at,
          stored)
      left join lateral (
        select * from log_chunk l where l.workspace_id = ${args.workspaceId}::uuid and l.attempt_id = c.attempt_id
        order by l.first_line desc limit 1) p on true
      window upto as (partition by c.attempt_id order by c.first_line)
      on conflict do nothing`,
  );
}

/** An artifact with the attempt that made it. */
export interface OwnedArtifact extends NewArtifact {
  readonly attemptId: string;
  readonly runId: string;
  readonly attempt: number;
}

/** Keys of the artifacts of attempts. The caller holds the attempts' locks. Primary key. */
export async function listArtifactKeys(
  tx: Tx,
  args: { workspaceId: string; attemptIds: readonly string[] },
): Promise<{ attemptId: string; key: string }[]> {
  if (args.attemptIds.length === 0) return [];
  return rows<{ attemptId: string; key: string }>(
    tx,
    sql`select attempt_id as "attemptId", key from artifact
      where workspace_id = ${args.workspaceId} and attempt_id = any(${textArray(args.attemptIds)}::uuid[])`,
  );
}

/** Stores the latest bodies of artifacts. */
export async function saveArtifacts(
  tx: Tx,
  args: { workspaceId: string; artifacts: readonly OwnedArtifact[] },
): Promise<void> {
  if (args.artifacts.length === 0) return;
  const of = (pick: (one: OwnedArtifact) => string | null) => textArray(args.artifacts.map(pick));
  await rows(
    tx,
    sql`insert into artifact (workspace_id, run_id, attempt_id, attempt, key, title, task, body, updated_at, stored_hash)
      select ${args.workspaceId}::uuid, n.run_id, n.attempt_id, n.attempt, n.key, n.title, n.task, n.body, n.updated_at,
        n.stored_hash
      from unnest(${of((one) => one.runId)}::uuid[], ${of((one) => one.attemptId)}::uuid[],
        ${numberArray(args.artifacts.map((one) => one.attempt))}::integer[], ${of((one) => one.key)}::text[],
        ${of((one) => one.title)}::text[], ${of((one) => one.task)}::text[],
        ${of((one) => JSON.stringify(one.body))}::json[], ${of((one) => one.at)}::timestamptz[],
        ${of(({ body }) => (body.kind === "stored" ? body.hash : null))}::text[])
        as n (run_id, attempt_id, attempt, key, title, task, body, updated_at, stored_hash)
      on conflict (attempt_id, key) do update set title = excluded.title, task = excluded.task, body = excluded.body,
        updated_at = excluded.updated_at, stored_hash = excluded.stored_hash`,
  );
}
