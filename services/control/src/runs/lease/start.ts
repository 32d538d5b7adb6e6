import { type Deps, inParallel, type Tx } from "../../kernel/index.ts";
import { moveAttempts, moveRuns } from "../moves/apply.ts";
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
  const { workspaceId, starts } = args;
  const [rows] = await inParallel([
    moveAttempts(tx, deps.clock, {
      workspaceId,
      moves: starts.map(({ held, seq }) => ({
        id: held.id,
        by: "start",
        seq,
        leaseMs: deps.config.leaseMs,
      })),
    }),
    moveRuns(tx, deps.clock, {
      workspaceId,
      moves: starts.map(({ held }) => ({ id: held.runId, by: "start" })),
    }),
  ]);
  return new Map(rows.map((row) => [row.id, row]));
}
