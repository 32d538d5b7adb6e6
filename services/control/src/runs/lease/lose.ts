import { OUTCOME_UNKNOWN, type RunError } from "@towpath/contract";
import {
  type Deps,
  dateOf,
  failpoint,
  type Tx,
  wakeWorkerAfterCommit,
  wentBackAt,
} from "../../kernel/index.ts";
import { endAttempt, endUnstarted } from "../end/end.ts";
import type { AttemptRow } from "../table.ts";
import { releaseAttempt, releaseHook } from "./release.ts";
import { noteRestore } from "./restore-notice.ts";
import type { LostRow } from "./store.ts";

/**
 * Declares a started attempt lost, because its worker is silent or returned without it. If nothing was heard of the
 * attempt since the database went back, its outcome may be unknown: the error says so, and the cause stays `lost`. From
 * here on its fence is invalid, and reports are stored as late. The caller holds the attempt's lock.
 * @param why The error of the attempt. @default none
 */
export async function loseAttempt(tx: Tx, deps: Deps, held: AttemptRow, why?: RunError): Promise<void> {
  const wentBack = await wentBackAt(tx);
  const isUnknown = wentBack !== null && !wasHeardSince(deps, held, wentBack);
  if (isUnknown) await noteRestore(tx, deps.clock, { workspaceId: held.workspaceId, unknownOutcomes: 1 });
  const error = isUnknown ? unknownSince(wentBack) : why;
  await endAttempt(tx, deps, held, { outcome: "lost", cause: "lost", error, lastBulkSeq: null });
  failpoint("lose");
  wakeWorkerAfterCommit(tx, held.workerId);
}

/** The error of an attempt whose worker's machine was declared gone. Undefined: it was not. */
export function goneErrorOf({ workerName, goneBy, goneMs }: LostRow): RunError | undefined {
  if (goneBy === null || goneMs === null) return undefined;
  const worker = workerName ?? "?";
  return {
    name: "WorkerGone",
    message: `${goneBy} declared at ${dateOf(goneMs).toISOString()} that the machine of worker ${worker} is gone.`,
  };
}

/** Whether an attempt's worker has renewed its lease since. */
function wasHeardSince({ config }: Deps, { leaseExpiresAt }: AttemptRow, since: Date): boolean {
  return leaseExpiresAt !== null && leaseExpiresAt.getTime() - config.leaseMs >= since.getTime();
}

/** The error of an attempt that may have ended without a trace in this database. */
function unknownSince(wentBack: Date): RunError {
  return {
    name: OUTCOME_UNKNOWN,
    message: `The control plane's database was restored, failed over or restarted at ${wentBack.toISOString()}, and no worker has reported this attempt since. It is unknown whether and how the attempt ended. Find out what it did, then rerun it from failure.`,
  };
}

/**
 * Takes back a claim that was not confirmed in time. The attempt returns to the queue, or ends if it was cancelled
 * meanwhile, since its worker launched nothing. The caller holds the attempt's lock.
 */
export async function lapseClaim(tx: Tx, deps: Deps, held: AttemptRow): Promise<void> {
  if (held.hookUntil !== null && held.workerId !== null) {
    const reason = `${held.workerName ?? "its worker"} did not confirm the start in time`;
    await releaseHook(tx, deps, { held, reason });
  } else if (held.state === "cancelling") {
    await endUnstarted(tx, deps, held);
  } else {
    const who = held.workerName ?? "its worker";
    await releaseAttempt(tx, deps, { held, reason: `${who} did not confirm the start in time` });
  }
  wakeWorkerAfterCommit(tx, held.workerId);
}
