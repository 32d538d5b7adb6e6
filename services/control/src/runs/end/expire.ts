import { isDue } from "@towpath/contract";
import { type Deps, DUE, perRowJob, type Tx, wakeAfterCommit } from "../../kernel/index.ts";
import { leaveLine, returnSlots } from "../admit/admission.ts";
import { releaseDependents } from "../dependents/release.ts";
import { moveAttempt, moveRun } from "../moves/apply.ts";
import { findActiveAttemptId, lockActiveAttempt, lockRun } from "../moves/locks.ts";
import { runCan } from "../moves/state.ts";
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
  if (live.state === "blocked") leaveLine(tx, deps, live);
  if (held !== null) {
    returnSlots(tx, deps, held);
    await moveAttempt(tx, deps.clock, { workspaceId, id: held.id, by: "expire", cause: why });
  }
  const row = await moveRun(tx, deps.clock, { workspaceId, id, by: "expire", cause: why });
  await releaseDependents(tx, deps, [row]);
  if (isDue(row.trigger)) wakeAfterCommit(tx, "change", DUE);
}
