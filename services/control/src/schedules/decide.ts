import { MISSED_AFTER_MS, type ScheduleInstant, type ScheduleSettings } from "@towpath/contract";
import { instantsAfter, type Recurrence } from "./timing/recurrence.ts";

/** The most runs that one round makes of one schedule. */
export const ROUND_RUNS_MAX = 100;

/** Why an instant has no run. */
export type SkipReason = NonNullable<ScheduleInstant["skipped"]>;

/** A stretch of instants without runs, both ends included. */
export interface Skipped {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly reason: SkipReason;
}

/** What is to become of the instants of a schedule up to now. */
export interface Decision {
  readonly runs: readonly number[];
  readonly skipped: readonly Skipped[];
  /** Every instant up to this one is decided. */
  readonly cursorMs: number;
}

/** Instants of a schedule that nobody has decided. */
export interface Undecided {
  readonly recurrence: Recurrence;
  readonly policy: Pick<ScheduleSettings, "catchUp" | "catchUpWindowMs" | "overlap">;
  readonly cursorMs: number;
  readonly nowMs: number;
  /** Whether its instants wait for its previous run to end. @default false */
  readonly waits?: boolean;
}

/** The last instant up to a time, that time included. */
function latest(recurrence: Recurrence, upToMs: number): number | null {
  return recurrence.previous(upToMs + 1);
}

/** Those after a time and up to now, at most a round's. What is left over is decided in the next round. */
function inTime(of: Undecided, afterMs: number): Pick<Decision, "runs" | "cursorMs"> {
  const runs: number[] = [];
  for (const at of instantsAfter(of.recurrence, afterMs)) {
    if (at > of.nowMs) break;
    if (runs.length === ROUND_RUNS_MAX) return { runs, cursorMs: runs.at(-1) ?? afterMs };
    runs.push(at);
  }
  return { runs, cursorMs: of.nowMs };
}

/** All of them, back to the window's edge. */
function catchUpAll(of: Undecided, firstMs: number): Decision {
  const edgeMs = of.nowMs - of.policy.catchUpWindowMs;
  if (firstMs >= edgeMs) return { ...inTime(of, of.cursorMs), skipped: [] };
  const untilMs = of.recurrence.previous(edgeMs) ?? firstMs;
  const skipped = [{ fromMs: firstMs, untilMs, reason: "window" as const }];
  return { ...inTime(of, edgeMs - 1), skipped };
}

/** The latest of those that were missed, if nothing has come since that makes it stale. */
function missedRun(of: Undecided, missedMs: number): { runs: number[]; reason: SkipReason } {
  // A schedule that waits for its own previous run misses instants by its nature: the latest of them is what it waits with.
  const waited = of.policy.overlap === "wait" || (of.policy.overlap === "cancel-running" && of.waits);
  const wanted = of.policy.catchUp === "latest" || waited;
  const newer = of.recurrence.next(missedMs);
  if (!wanted || (newer !== null && newer <= of.nowMs)) return { runs: [], reason: "catch-up" };
  if (missedMs < of.nowMs - of.policy.catchUpWindowMs) return { runs: [], reason: "window" };
  return { runs: [missedMs], reason: "catch-up" };
}

/**
 * Decides every instant of a schedule up to now, a round's worth at most: which run, and which are skipped and why. Says
 * nothing of runs that overlap. Never enumerates what is skipped, so that a long absence costs no more than a short one.
 */
export function decide(of: Undecided): Decision {
  const { recurrence, cursorMs, nowMs } = of;
  const firstMs = recurrence.next(cursorMs);
  if (firstMs === null || firstMs > nowMs)
    return { runs: [], skipped: [], cursorMs: Math.max(cursorMs, nowMs) };
  if (of.policy.catchUp === "all") return catchUpAll(of, firstMs);
  const missedMs = latest(recurrence, nowMs - MISSED_AFTER_MS);
  if (missedMs === null || missedMs <= cursorMs) return { ...inTime(of, cursorMs), skipped: [] };
  const { runs, reason } = missedRun(of, missedMs);
  const untilMs = runs.length === 0 ? missedMs : recurrence.previous(missedMs);
  const skipped = untilMs !== null && untilMs >= firstMs ? [{ fromMs: firstMs, untilMs, reason }] : [];
  const rest = inTime(of, missedMs);
  return { runs: [...runs, ...rest.runs], cursorMs: rest.cursorMs, skipped };
}

/** What of a decision can be done now, given whether a run of the schedule is still under way. */
export interface Fitted extends Decision {
  /** An instant has to wait until the schedule's previous run has ended. */
  readonly waits: boolean;
}

/** Applies the overlap policy to a decision. Runs of one round overlap each other as those of earlier rounds do. */
export function fitOverlap(
  decision: Decision,
  args: { overlap: ScheduleSettings["overlap"]; live: boolean; cursorMs: number },
): Fitted {
  const [first, ...rest] = decision.runs;
  if (args.overlap === "allow" || first === undefined) return { ...decision, waits: false };
  if (args.overlap === "skip") {
    const over = args.live ? decision.runs : rest;
    const skipped = over.map((at) => ({ fromMs: at, untilMs: at, reason: "overlap" as const }));
    return {
      runs: args.live ? [] : [first],
      skipped: [...decision.skipped, ...skipped],
      cursorMs: decision.cursorMs,
      waits: false,
    };
  }
  if (args.overlap === "cancel-running" && !args.live) return newestOf(decision);
  const skipped = decision.skipped;
  // The stretch that was skipped before the instant that waits is decided now, the instant itself later.
  if (args.live)
    return { runs: [], skipped, cursorMs: skipped.at(-1)?.untilMs ?? args.cursorMs, waits: true };
  const more = rest.length > 0;
  return { runs: [first], skipped, cursorMs: more ? first : decision.cursorMs, waits: more };
}

/** Of several runs of one round each would cancel the one before: only the newest is asked for. */
function newestOf(decision: Decision): Fitted {
  const older = decision.runs.slice(0, -1);
  const skipped = older.map((at) => ({ fromMs: at, untilMs: at, reason: "overlap" as const }));
  return {
    runs: decision.runs.slice(-1),
    skipped: [...decision.skipped, ...skipped],
    cursorMs: decision.cursorMs,
    waits: false,
  };
}

/**
 * Leaves nothing of a decision to wait for: instants up to now that would wait for the schedule's previous run, or for another
 * round, are skipped. For a rule that ends now.
 */
export function fitLast(fitted: Fitted, args: { recurrence: Recurrence; nowMs: number }): Fitted {
  const [first, last] = [args.recurrence.next(fitted.cursorMs), latest(args.recurrence, args.nowMs)];
  const rest =
    first === null || last === null || first > last
      ? []
      : [
          {
            fromMs: first,
            untilMs: last,
            reason: fitted.waits ? ("overlap" as const) : ("catch-up" as const),
          },
        ];
  return { ...fitted, skipped: [...fitted.skipped, ...rest], cursorMs: args.nowMs, waits: false };
}
