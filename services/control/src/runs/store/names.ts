import { sql } from "#sql";
import type { Tx } from "../../kernel/index.ts";
import { insertRunChanges } from "./changes.ts";
import { rows } from "./rows.ts";

/** Names a live run and writes the changes of it. Primary key of run. @returns whether it had another name before. */
export async function saveRunName(
  tx: Tx,
  a: { workspaceId: string; runId: string; name: string },
): Promise<boolean> {
  const named = await rows(
    tx,
    sql`with moved as (
        update run m set name = ${a.name}
        where m.workspace_id = ${a.workspaceId} and m.id = ${a.runId} and m.name is distinct from ${a.name}
        returning m.*
      ), changes as (${insertRunChanges(sql`moved`)})
      select 1 from moved`,
  );
  return named.length > 0;
}
