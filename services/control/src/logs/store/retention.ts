import { idFloor } from "@towpath/contract";
import { sql } from "drizzle-orm";
import type { Queryable } from "../../kernel/index.ts";
import { type Month, rows } from "../../runs/index.ts";

/** The most rows of each table that one round forgets. */
export const FORGET_MAX = 1_000;

/** Forgets lines that lie outside the partitions of months. Primary key. @returns How many chunks, at most FORGET_MAX. */
export async function forgetStrayLines(db: Queryable, before: Month): Promise<number> {
  const gone = await rows(
    db,
    sql`delete from log_chunk_default where ctid = any(array(
        select ctid from log_chunk_default where attempt_id < ${idFloor(before.startMs)}::uuid limit ${FORGET_MAX}))
      returning 1`,
  );
  return gone.length;
}

/**
 * Forgets artifacts of runs that are forgotten. Primary keys of artifact and run_key.
 * @returns How many, at most FORGET_MAX.
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
