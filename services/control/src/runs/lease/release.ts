import { afterCommit, type Deps, type Tx, wakeAfterCommit } from "../../kernel/index.ts";
import { moveAttempt, moveRun } from "../moves/apply.ts";
import { NO_NEEDS } from "../needs.ts";
import type { AttemptRow } from "../table.ts";

/** The longest back-off after a release, seconds. */
const BACK_OFF_MAX_SECONDS = 60;

/**
 * Releases a claimed attempt: it is ready again, in its old position, after a back-off of 1, 2, 4 … 60 s. Spends no
 * retry. The caller holds the attempt's lock. The fence stays readable until the next claim, so that a repeated release
 * is recognised.
 * @throws Problem `run-transition-not-allowed` if it is not claimed.
 */
export async function releaseAttempt(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; reason: string },
): Promise<AttemptRow> {
  const { workspaceId, id, runId, controlAcked } = args.held;
  const backOffMs = 1_000 * Math.min(2 ** Math.min(args.held.releases, 10), BACK_OFF_MAX_SECONDS);
  const released = await moveAttempt(tx, deps.clock, {
    workspaceId,
    id,
    by: "release",
    release: { reason: args.reason, backOffMs },
  });
  await moveRun(tx, deps.clock, { workspaceId, id: runId, by: "release" });
  if (released.needs !== NO_NEEDS) wakeAfterCommit(tx, "pool", released.poolId);
  afterCommit(tx, `release of ${id}`, ({ wakes }) => {
    setTimeout(() => wakes.publish("pool", [released.poolId]), backOffMs).unref();
  });
  return { ...released, controlAcked };
}
