import type { StoredBody } from "@towpath/contract";
import { sql } from "#sql";
import { type Queryable, rows } from "../../kernel/index.ts";

/** The store of a stored body, if the run names it. Null: nothing of the run has this hash. Index artifact_run. */
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
