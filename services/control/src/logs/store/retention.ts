import { idFloor } from "@towpath/contract";
import { sql } from "#sql";
import { type Month, type Queryable, rows, type Tx, textArray } from "../../kernel/index.ts";
import { isAttemptKept } from "../../runs/index.ts";

/** The most rows of each table that one round deletes. */
export const FORGET_MAX = 1_000;

/**
 * Deletes log chunks of runs that ended before a month, in a partition that cannot be dropped: the default one, or one with
 * lines of other runs. Steps from attempt to attempt, so that a kept log costs one probe. Primary key.
 * @returns the number of chunks, at most FORGET_MAX.
 */
export async function forgetLines(db: Queryable, args: { table: string; before: Month }): Promise<number> {
  const table = sql.identifier(args.table);
  const next = sql`l.attempt_id < ${idFloor(args.before.startMs)}::uuid order by l.attempt_id limit 1`;
  const gone = await rows(
    db,
    sql`with recursive seen as (
        (select l.attempt_id from ${table} l where ${next})
        union all
        select n.attempt_id from seen s
          cross join lateral (select l.attempt_id from ${table} l where l.attempt_id > s.attempt_id and ${next}) n
      )
      delete from ${table} where ctid = any(array(
        select c.ctid from seen s
          cross join lateral (
            select l.ctid from ${table} l where l.attempt_id = s.attempt_id limit ${FORGET_MAX}) c
        where not ${isAttemptKept({ attemptId: sql`s.attempt_id`, since: args.before })}
        limit ${FORGET_MAX}))
      returning 1`,
  );
  return gone.length;
}

/**
 * Deletes artifacts of deleted runs. Primary keys of artifact and run_key.
 * @returns the number of artifacts, at most FORGET_MAX.
 */
export async function forgetArtifacts(db: Queryable, before: Month): Promise<number> {
  const gone = await rows(
    db,
    sql`delete from artifact where ctid = any(array(
        select a.ctid from artifact a
        where a.attempt_id < ${idFloor(before.startMs)}::uuid
          and not exists (select 1 from run_key k where k.workspace_id = a.workspace_id and k.run_id = a.run_id)
        limit ${FORGET_MAX}))
      returning 1`,
  );
  return gone.length;
}

/** Deletes the lines and artifacts of one run. Primary key of log_chunk, index artifact_run. */
export async function deleteOfRun(
  tx: Tx,
  args: { workspaceId: string; runId: string; attemptIds: readonly string[] },
): Promise<void> {
  await rows(
    tx,
    sql`with lines as (delete from log_chunk
        where workspace_id = ${args.workspaceId} and attempt_id = any(${textArray(args.attemptIds)}::uuid[]))
      delete from artifact where workspace_id = ${args.workspaceId} and run_id = ${args.runId}`,
  );
}
