import { type Deps, inParallel, type Tx } from "../../kernel/index.ts";
import { moveAttempts, moveRuns } from "../moves/apply.ts";
import type { AttemptRow } from "../table.ts";
import { saveHookStart } from "./store.ts";

/**
 * A claimed attempt that is about to start, locked by the caller, and the sequence of the control record that reports
 * it.
 */
export interface HeldStart {
  readonly held: AttemptRow;
  readonly seq: number;
}

/**
 * Confirms the start of claimed attempts. From here on their processes may exist, and only their worker's report or its
 * silence ends them.
 * @returns the attempts after the change, by id
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

/**
 * Confirms the start of an attempt that runs only a hook, as `startAttempts`. The run and the attempt stay `cancelling`.
 * @returns the attempt after the change, or none if it cannot start any more.
 */
export async function startHook(tx: Tx, deps: Deps, { held, seq }: HeldStart): Promise<AttemptRow[]> {
  const { workspaceId, id: attemptId } = held;
  return saveHookStart(tx, deps.clock, { workspaceId, attemptId, seq, leaseMs: deps.config.leaseMs });
}
