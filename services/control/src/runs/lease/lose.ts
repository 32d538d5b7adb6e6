import { type Deps, failpoint, type Tx } from "../../kernel/index.ts";
import { endAttempt, endUnstarted } from "../end/end.ts";
import type { AttemptRow } from "../table.ts";
import { wakeWorkerAfterCommit } from "../wake.ts";
import { releaseAttempt } from "./release.ts";

/**
 * Declares a started attempt lost: its worker is silent, or came back without it. From here on its fence is dead; what
 * still arrives is kept as a late report. The caller holds the attempt's lock.
 */
export async function loseAttempt(tx: Tx, deps: Deps, held: AttemptRow): Promise<void> {
  await endAttempt(tx, deps, held, { outcome: "lost", cause: "lost", lastBulkSeq: null });
  failpoint("lose");
  wakeWorkerAfterCommit(tx, held.workerId);
}

/**
 * Takes back a claim that was not confirmed in time: back into the line, or over if it was cancelled meanwhile, since
 * nothing of it was ever launched. The caller holds the attempt's lock.
 */
export async function lapseClaim(tx: Tx, deps: Deps, held: AttemptRow): Promise<void> {
  if (held.state === "cancelling") {
    await endUnstarted(tx, deps, held);
  } else {
    const who = held.workerName ?? "its worker";
    await releaseAttempt(tx, deps, { held, reason: `${who} did not confirm the start in time` });
  }
  wakeWorkerAfterCommit(tx, held.workerId);
}
