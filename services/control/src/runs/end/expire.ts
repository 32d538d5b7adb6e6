import { isDue } from "@towpath/contract";
import { type Deps, DUE, type Duty, inTransaction, now, type Tx } from "../../kernel/index.ts";
import { leaveLine, returnSlots } from "../admit/admission.ts";
import { runCan, transitionAttempt, transitionRun } from "../state.ts";
import { EXPIRY_BATCH, listExpired, untilExpiry } from "../store/expiry.ts";
import { findActiveAttemptId, lockActiveAttempt, lockRun } from "../store/moves.ts";
import { untie } from "../waits/untie.ts";
import { wakeAfterCommit } from "../wake.ts";

/** Gives up runs that no worker has started in time. */
export const expireDuty: Duty = {
  name: "expire",
  everyMs: 1_000,
  nextInMs: ({ clock }) => untilExpiry(clock),
  async runOnce(deps) {
    const expired = await listExpired(deps.database.db, deps.clock);
    for (const one of expired) await inTransaction(deps, (tx) => expireIn(tx, deps, one));
    return { worked: expired.length === EXPIRY_BATCH };
  },
};

/** Fails a run with the cause `expired`, unless a worker has taken it meanwhile. */
async function expireIn(tx: Tx, deps: Deps, a: { workspaceId: string; runId: string }): Promise<void> {
  const held = await lockActiveAttempt(tx, a);
  const live = await lockRun(tx, a);
  if (live === null || live.startedAt !== null || !runCan(live.state, "expire")) return;
  // Another attempt by now: the next round finds it.
  if ((await findActiveAttemptId(tx, a)) !== (held?.id ?? null)) return;
  const end = { cause: "expired", endedAt: now(deps.clock) } as const;
  if (live.state === "blocked") leaveLine(tx, deps, live);
  if (held !== null) {
    returnSlots(tx, deps, held);
    await transitionAttempt(tx, { workspaceId: a.workspaceId, attemptId: held.id, by: "expire", set: end });
  }
  const row = await transitionRun(tx, { ...a, by: "expire", set: end });
  await untie(tx, deps, [row]);
  if (isDue(row.trigger)) wakeAfterCommit(tx, "change", DUE);
}
