import { sql } from "#sql";
import { afterCommit, type Deps, now, type Tx, wakeAfterCommit } from "../../kernel/index.ts";
import { NO_NEEDS } from "../compute/needs.ts";
import { transitionAttempt, transitionRun } from "../moves/state.ts";
import { type AttemptRow, attempt } from "../table.ts";

/** The longest an attempt stays out of reach after a release, seconds. */
const BACK_OFF_MAX_SECONDS = 60;

/**
 * Gives a claimed attempt back: ready again, in its place in the line, but not before a back-off of 1, 2, 4 … 60 s.
 * Spends no retry. The caller holds the attempt's lock. The fence stays readable until the next claim, so that a
 * repeated release is recognised.
 * @throws Problem `run-transition-not-allowed` if it is not claimed.
 */
export async function releaseAttempt(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; reason: string },
): Promise<AttemptRow> {
  const { workspaceId, id, runId, controlAcked } = args.held;
  const released = await transitionAttempt(tx, {
    workspaceId,
    attemptId: id,
    by: "release",
    set: {
      leaseExpiresAt: null,
      releases: sql`${attempt.releases} + 1`,
      releaseReason: args.reason,
      notBefore: sql`${now(deps.clock)} + make_interval(secs => least(power(2, least(${attempt.releases}, 10)), ${BACK_OFF_MAX_SECONDS}))`,
    },
  });
  await transitionRun(tx, { workspaceId, runId, by: "release" });
  if (released.needs !== NO_NEEDS) wakeAfterCommit(tx, "pool", released.poolId);
  afterCommit(tx, `line of ${id}`, ({ wakes }) => {
    const backOffMs = 1_000 * Math.min(2 ** Math.min(released.releases - 1, 10), BACK_OFF_MAX_SECONDS);
    setTimeout(() => wakes.publish("pool", [released.poolId]), backOffMs).unref();
  });
  return { ...released, controlAcked };
}
