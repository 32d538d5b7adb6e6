import type { StoredBody } from "@towpath/contract";
import { sql } from "#sql";
import { type Queryable, rows } from "../../kernel/index.ts";

/** The store of an artifact's stored body. Null: no artifact of the run has this hash. Index artifact_run. */
export async function findStored(
  from: Queryable,
  args: { workspaceId: string; runId: string; hash: string },
): Promise<Pick<StoredBody, "store"> | null> {
  const [found] = await rows<{ store: string }>(
    from,
    sql`select a.body ->> 'store' as store from artifact a
      where a.workspace_id = ${args.workspaceId} and a.run_id = ${args.runId} and a.stored_hash = ${args.hash} limit 1`,
  );
  return found ?? null;
}

/**
 * The store of the stored body that has the text of a line. Null: the line's text is not in a body with this hash. One probe of the
 * primary key of log_chunk.
 */
export async function findStoredLine(
  from: Queryable,
  args: { workspaceId: string; attemptId: string; line: number; hash: string },
): Promise<Pick<StoredBody, "store"> | null> {
  const [found] = await rows<{ store: string; hash: string }>(
    from,
    sql`select l.stored ->> 'store' as store, l.stored ->> 'hash' as hash from log_chunk l
      where l.workspace_id = ${args.workspaceId} and l.attempt_id = ${args.attemptId} and l.first_line <= ${args.line}
      order by l.first_line desc limit 1`,
  );
  return found?.hash === args.hash ? { store: found.store } : null;
}
