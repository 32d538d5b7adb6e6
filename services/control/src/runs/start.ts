import { sql } from "drizzle-orm";
import { type Deps, now, type Tx } from "../kernel/index.ts";
import { transitionAttempts, transitionRuns } from "./state.ts";
import { after } from "./store/moves.ts";
import { type AttemptRow, run } from "./table.ts";

/**
 * Confirms the start of claimed attempts, whose locks the caller holds: from here on their processes may exist, and
 * nothing but their worker's word or its silence ends them.
 * @returns the attempts as they are now, by id
 * @throws Problem `run-transition-not-allowed` if one is not claimed.
 */
export async function startAttempts(
  tx: Tx,
  deps: Deps,
  a: { workspaceId: string; held: readonly AttemptRow[] },
): Promise<Map<string, AttemptRow>> {
  const { workspaceId } = a;
  const started = await transitionAttempts(tx, {
    ...{ workspaceId, attemptIds: a.held.map((row) => row.id), by: "start" },
    set: { startedAt: now(deps.clock), leaseExpiresAt: after(deps.clock, deps.config.leaseMs) },
  });
  await transitionRuns(tx, {
    ...{ workspaceId, runIds: a.held.map((row) => row.runId), by: "start" },
    set: { startedAt: sql`coalesce(${run.startedAt}, ${now(deps.clock)})` },
  });
  return new Map(started.map((row) => [row.id, row]));
}
