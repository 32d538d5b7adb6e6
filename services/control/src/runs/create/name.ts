import { sql } from "#sql";
import { afterCommit, rows, type Tx, wakeSequencer } from "../../kernel/index.ts";
import { insertRunChanges } from "../moves/changes.ts";

/**
 * Sets the name of a live run and writes the change. Primary key of run. @returns whether the name was different
 * before.
 */
async function saveRunName(
  tx: Tx,
  args: { workspaceId: string; runId: string; name: string },
): Promise<boolean> {
  const named = await rows(
    tx,
    sql`with moved as (
        update run m set name = ${args.name}
        where m.workspace_id = ${args.workspaceId} and m.id = ${args.runId} and m.name is distinct from ${args.name}
        returning m.*
      ), changes as (${insertRunChanges(sql`moved`)})
      select 1 from moved`,
  );
  return named.length > 0;
}

/** Sets the name that a flow gives its run. Repeating it changes nothing and writes no change. */
export async function nameRun(
  tx: Tx,
  args: { workspaceId: string; runId: string; name: string },
): Promise<void> {
  if (await saveRunName(tx, args)) afterCommit(tx, "changes of runs", wakeSequencer);
}
