import type { Queryable } from "../../kernel/index.ts";
import { findRun } from "../history/find.ts";
import type { RunRow } from "../table.ts";

/** The longest chain of reruns that is followed back. */
const LINEAGE_MAX = 16;

/**
 * The runs whose results a run may take over, oldest first: that of which it is a rerun from its failure, that of which
 * that one was, and so on. Without the run itself.
 */
export async function lineageOf(
  from: Queryable,
  run: Pick<RunRow, "workspaceId" | "trigger">,
): Promise<RunRow[]> {
  const found: RunRow[] = [];
  for (let next = run; found.length < LINEAGE_MAX; ) {
    const { trigger, workspaceId } = next;
    if (trigger.kind !== "rerun" || !trigger.fromFailure) break;
    const earlier = await findRun(from, { workspaceId, runId: trigger.runId });
    if (earlier === null) break;
    found.unshift(earlier);
    next = earlier;
  }
  return found;
}

/** The first run of the chain that this one is the latest of. */
export function originOf(run: Pick<RunRow, "id" | "trigger">): string {
  return run.trigger.kind === "rerun" && run.trigger.fromFailure ? run.trigger.origin : run.id;
}
