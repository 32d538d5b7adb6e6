import { isDue } from "@towpath/contract";
import { type Deps, DUE, now, perRowJob, type Tx, wakeAfterCommit } from "../../kernel/index.ts";
import { leaveLine, returnSlots } from "../admit/admission.ts";
import { releaseDependents } from "../dependents/release.ts";
import { findActiveAttemptId, lockActiveAttempt, lockRun } from "../moves/locks.ts";
import { runCan, transitionAttempt, transitionRun } from "../moves/state.ts";
import { EXPIRY_BATCH, type ExpiredRun, isGivenUp, listExpired, untilExpiry } from "./expiry.ts";

/** Gives up runs that no worker has started in time, and those that took too long as a whole while no process holds them. */
export const expirePeriodicJob = perRowJob<ExpiredRun>({
  name: "expire",
  everyMs: 1_000,
  hold: "claims-each",
  batch: EXPIRY_BATCH,
  nextInMs: ({ clock }, among) => untilExpiry(clock, among),
  find: (from, { clock }, which) => listExpired(from, clock, which),
  async act(tx, deps, expired) {
    for (const one of expired) await expireIn(tx, deps, one);
  },
});

/** Fails a run whose time is up, unless a worker has taken it meanwhile: what runs then is stopped by its worker. */
async function expireIn(tx: Tx, deps: Deps, { why, workspaceId, id }: ExpiredRun): Promise<void> {
  const a = { workspaceId, runId: id };
  const held = await lockActiveAttempt(tx, a);
  const live = await lockRun(tx, a);
  if (live === null || !runCan(live.state, "expire") || !(await isGivenUp(tx, deps.clock, { ...a, why })))
    return;
  // Another attempt by now: the next round finds it.
  if ((await findActiveAttemptId(tx, a)) !== (held?.id ?? null)) return;
  const end = { cause: why, endedAt: now(deps.clock) } as const;
  if (live.state === "blocked") leaveLine(tx, deps, live);
  if (held !== null) {
    returnSlots(tx, deps, held);
    await transitionAttempt(tx, { workspaceId: a.workspaceId, attemptId: held.id, by: "expire", set: end });
  }
  const row = await transitionRun(tx, { ...a, by: "expire", set: end });
  await releaseDependents(tx, deps, [row]);
  if (isDue(row.trigger)) wakeAfterCommit(tx, "change", DUE);
}
