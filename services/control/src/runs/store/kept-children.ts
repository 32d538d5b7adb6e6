import { sql } from "#sql";
import type { Queryable } from "../../kernel/index.ts";
import type { ChildOutcome, RunRow } from "../table.ts";
import { findRun, type RunName } from "./read.ts";
import { rows } from "./rows.ts";

/** A run as a flow that has started it sees it. */
export interface KnownRun extends ChildOutcome {
  readonly id: string;
  /** The run that started it, if a run did. */
  readonly startedBy: string | null;
}

function knownOf(row: RunRow): KnownRun {
  const { id, deployment, task, state, cause, result, error, trigger } = row;
  const startedBy = trigger.kind === "run" ? trigger.runId : null;
  return { id, deployment, task, state, cause, result, error, startedBy };
}

/** A run, live or archived; or a child whose history is gone while its parent has not ended. Primary key of run_key. */
export async function findKnownRun(from: Queryable, a: RunName): Promise<KnownRun | null> {
  const row = await findRun(from, a);
  if (row !== null) return knownOf(row);
  const [kept] = await rows<{ startedBy: string; outcome: ChildOutcome }>(
    from,
    sql`select parent_id as "startedBy", outcome from run_key
      where workspace_id = ${a.workspaceId} and run_id = ${a.runId} and parent_id is not null and outcome is not null`,
  );
  return kept === undefined ? null : { id: a.runId, startedBy: kept.startedBy, ...kept.outcome };
}
