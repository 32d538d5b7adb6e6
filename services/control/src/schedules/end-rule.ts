import { type Deps, dateOf, type Tx, trySavepoint } from "../kernel/index.ts";
import { decide, fitLast, fitOverlap, type SkipReason } from "./decide.ts";
import { decideAll } from "./periodic-jobs.ts";
import * as store from "./store.ts";
import type { Recurrence } from "./timing/recurrence.ts";
import { instantsOf } from "./timing/timing.ts";

/** A schedule that the caller has locked, and the time. */
interface Ending {
  readonly row: store.ScheduleRow;
  readonly nowMs: number;
}

/** The first and last undecided instants up to now. Null: there are none, or the rule cannot be computed. */
function undecidedOf({
  row,
  nowMs,
}: Ending): { recurrence: Recurrence; firstMs: number; lastMs: number } | null {
  try {
    const recurrence = instantsOf(row.settings);
    const [firstMs, lastMs] = [recurrence.next(row.cursorAt.getTime()), recurrence.previous(nowMs + 1)];
    return firstMs === null || lastMs === null || firstMs > lastMs ? null : { recurrence, firstMs, lastMs };
  } catch {
    // The instants of a broken rule are unknown. The schedule's fault says why.
    return null;
  }
}

/** Records the due instants that are not decided as skipped, as one stretch. */
export async function skipRest(tx: Tx, args: Ending & { reason: SkipReason }): Promise<void> {
  const rest = undecidedOf(args);
  if (rest === null) return;
  const { workspaceId, id: scheduleId } = args.row;
  const { firstMs, lastMs } = rest;
  await store.insertInstants(tx, [
    {
      workspaceId,
      scheduleId,
      at: dateOf(firstMs),
      until: lastMs === firstMs ? null : dateOf(lastMs),
      runId: null,
      skipped: args.reason,
      decidedAt: dateOf(args.nowMs),
    },
  ]);
}

/**
 * Decides the instants of a rule that ends now: those up to now by the schedule's policy, in one round. Instants that
 * would wait are recorded as skipped. If deciding fails, all are recorded as skipped, so that people can change the
 * rule.
 */
export async function endRule(tx: Tx, deps: Deps, args: Ending): Promise<void> {
  const { row } = args;
  if (row.paused) return skipRest(tx, { ...args, reason: "paused" });
  if (row.fault !== null) return skipRest(tx, { ...args, reason: "catch-up" });
  const error = await trySavepoint(tx, (part) => decideRest(part, deps, args));
  if (error === null) return;
  const { workspaceId: workspace, id: schedule } = row;
  deps.log.error(
    { err: error, workspace, schedule },
    "the due times of a rule with an end could not be calculated",
  );
  await skipRest(tx, { ...args, reason: "catch-up" });
}

async function decideRest(tx: Tx, deps: Deps, args: Ending): Promise<void> {
  const { row, nowMs } = args;
  const rest = undecidedOf(args);
  if (rest === null) return;
  const { recurrence } = rest;
  const { settings, waits } = row;
  const cursorMs = row.cursorAt.getTime();
  const live = await store.isLive(tx, row);
  const decision = decide({ recurrence, policy: settings, cursorMs, nowMs, waits });
  const fitted = fitLast(fitOverlap(decision, { overlap: settings.overlap, live, cursorMs }), {
    recurrence,
    nowMs,
  });
  await decideAll(tx, deps, { decided: [{ row: { ...row, live }, instants: recurrence, fitted }], nowMs });
}
