import { afterCommit, type Deps, type Tx, wakeAfterCommit } from "../../kernel/index.ts";
import { hasWorkerWithSecrets } from "../../pools/index.ts";
import { endAttempt, endUnstarted } from "../end/end.ts";
import { moveAttempt, moveRun } from "../moves/apply.ts";
import { NO_NEEDS } from "../needs.ts";
import type { AttemptRow } from "../table.ts";
import { listSecretNames, saveHookRelease } from "./store.ts";

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
  const backOffMs = backOffOf(args.held);
  const released = await moveAttempt(tx, deps.clock, {
    workspaceId,
    id,
    by: "release",
    release: { reason: args.reason, backOffMs },
  });
  await moveRun(tx, deps.clock, { workspaceId, id: runId, by: "release" });
  if (released.needs !== NO_NEEDS) wakeAfterCommit(tx, "pool", released.poolId);
  wakeLater(tx, released, backOffMs);
  return { ...released, controlAcked };
}

function backOffOf({ releases }: AttemptRow): number {
  return 1_000 * Math.min(2 ** Math.min(releases, 10), BACK_OFF_MAX_SECONDS);
}

function wakeLater(tx: Tx, { id, poolId }: AttemptRow, backOffMs: number): void {
  afterCommit(tx, `release of ${id}`, ({ wakes }) => {
    setTimeout(() => wakes.publish("pool", [poolId]), backOffMs).unref();
  });
}

/**
 * Releases an attempt that runs only a hook and has not started: another worker may take it, as long as its time is not
 * over. Then its run ends without the hook. The caller holds the attempt's lock.
 * @returns the attempt after the change.
 */
export async function releaseHook(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; reason: string },
): Promise<AttemptRow | null> {
  const { workspaceId, id: attemptId, controlAcked } = args.held;
  const backOffMs = backOffOf(args.held);
  const { reason } = args;
  const released = await saveHookRelease(tx, deps.clock, { workspaceId, attemptId, reason, backOffMs });
  if (released === null) return endUnstarted(tx, deps, args.held);
  wakeLater(tx, released, backOffMs);
  return { ...released, controlAcked };
}

/**
 * Releases a claimed attempt whose worker has no value for one of its secrets. If no other online worker of the pool
 * reports values for all of them, the run ends `failed` with the cause `refused`: it would only wait. The caller holds
 * the attempt's lock.
 * @param args.reason The error of a run that fails.
 * @returns the attempt after the change, or null if its state allows neither: nothing was changed.
 * @throws Problem `run-transition-not-allowed` if it is not claimed.
 */
export async function releaseWithoutSecret(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; reason: string },
): Promise<AttemptRow | null> {
  const { workspaceId, runId, poolId, workerId, bulkAcked } = args.held;
  const names = await listSecretNames(tx, { workspaceId, runId });
  const which = { workspaceId, poolId, exceptWorkerId: workerId, names, clock: deps.clock };
  if (await hasWorkerWithSecrets(tx, which)) return releaseAttempt(tx, deps, args);
  return endAttempt(tx, deps, args.held, {
    outcome: "refused",
    cause: "refused",
    error: { name: "NotStarted", message: args.reason },
    lastBulkSeq: bulkAcked,
  });
}
