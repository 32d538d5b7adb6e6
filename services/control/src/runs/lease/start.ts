import { afterCommit, type Deps, type Tx, wakeSequencer } from "../../kernel/index.ts";
import { saveStarts } from "../moves/start.ts";
import { attemptMove, notAllowed, runMove } from "../moves/state.ts";
import type { AttemptRow } from "../table.ts";

/** A claimed attempt that is to start, locked by the caller, and the sequence of the control record that says so. */
export interface HeldStart {
  readonly held: AttemptRow;
  readonly seq: number;
}

/**
 * Confirms the start of claimed attempts: from here on their processes may exist, and nothing but their worker's word or
 * its silence ends them.
 * @returns the attempts as they are now, by id
 * @throws Problem `run-transition-not-allowed` if one is not claimed.
 */
export async function startAttempts(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; starts: readonly HeldStart[] },
): Promise<Map<string, AttemptRow>> {
  const [first] = args.starts;
  if (first === undefined) return new Map();
  const started = await saveStarts(tx, deps.clock, {
    workspaceId: args.workspaceId,
    starts: args.starts.map(({ held, seq }) => ({ attemptId: held.id, seq })),
    attempt: attemptMove(first.held.id, "start"),
    run: runMove(first.held.runId, "start"),
    leaseMs: deps.config.leaseMs,
  });
  const rows = new Map(started.map(({ row }) => [row.id, row]));
  const missing = args.starts.find(({ held }) => !rows.has(held.id));
  if (missing !== undefined) throw notAllowed("attempt", missing.held.id, "start");
  const stuck = started.find(({ runMoved }) => !runMoved);
  if (stuck !== undefined) throw notAllowed("run", stuck.row.runId, "start");
  afterCommit(tx, "changes of runs", wakeSequencer);
  return rows;
}
