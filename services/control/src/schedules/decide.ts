import { MISSED_AFTER_MS, type ScheduleInstant, type ScheduleSettings } from "@towpath/contract";
import { instantsAfter, type Recurrence } from "./timing/recurrence.ts";

/** The most runs that one round creates for one schedule. */
export const ROUND_RUNS_MAX = 100;

/** Why an instant has no run. */
export type SkipReason = NonNullable<ScheduleInstant["skipped"]>;

/** A stretch of instants without runs, both ends included. */
export interface Skipped {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly reason: SkipReason;
}

/** The decision about the instants of a schedule up to now. */
export interface Decision {
  readonly runs: readonly number[];
  readonly skipped: readonly Skipped[];
  /** Every instant up to this one is decided. */
  readonly cursorMs: number;
}

/** The undecided instants of a schedule. */
export interface Undecided {
  readonly recurrence: Recurrence;
  readonly policy: Pick<ScheduleSettings, "catchUp" | "catchUpWindowMs" | "overlap">;
  readonly cursorMs: number;
  readonly nowMs: number;
  /** Whether its instants wait for its previous run to end. @default false */
  readonly waits?: boolean;
}

/** The last instant at or before a time. */
function latest(recurrence: Recurrence, upToMs: number): number | null {
  return recurrence.previous(upToMs + 1);
}

/** The instants after a time and up to now, at most one round's. The next round decides the rest. */
function inTime(of: Undecided, afterMs: number): Pick<Decision, "runs" | "cursorMs"> {
  const runs: number[] = [];
  for (const at of instantsAfter(of.recurrence, afterMs)) {
    if (at > of.nowMs) break;
    if (runs.length === ROUND_RUNS_MAX) return { runs, cursorMs: runs.at(-1) ?? afterMs };
    runs.push(at);
  }
  return { runs, cursorMs: of.nowMs };
}

/** All instants since the start of the catch-up window. */
function catchUpAll(of: Undecided, firstMs: number): Decision {
  const edgeMs = of.nowMs - of.policy.catchUpWindowMs;
  if (firstMs >= edgeMs) return { ...inTime(of, of.cursorMs), skipped: [] };
  const untilMs = of.recurrence.previous(edgeMs) ?? firstMs;
  const skipped = [{ fromMs: firstMs, untilMs, reason: "window" as const }];
  return { ...inTime(of, edgeMs - 1), skipped };
}

/**
 * The newest instant of the catch-up window, for a schedule whose runs cancel each other: a run of an older instant
 * would be cancelled for it.
 */
function newestInWindow(of: Undecided, firstMs: number): Decision {
  const { recurrence, nowMs, policy } = of;
  const newestMs = latest(recurrence, nowMs);
  const edgeMs = nowMs - policy.catchUpWindowMs;
  const runs = newestMs === null || newestMs < edgeMs ? [] : [newestMs];
  const untilMs = runs.length === 0 ? newestMs : recurrence.previous(newestMs ?? nowMs);
  const reason = runs.length === 0 ? ("window" as const) : ("overlap" as const);
  const skipped = untilMs !== null && untilMs >= firstMs ? [{ fromMs: firstMs, untilMs, reason }] : [];
  return { runs, skipped, cursorMs: nowMs };
}

/** The latest missed instant, unless a later instant replaces it. */
function missedRun(of: Undecided, missedMs: number): { runs: number[]; reason: SkipReason } {
  // A schedule that waits for its previous run always misses instants. It waits with the latest of them.
  const waited = of.policy.overlap === "wait" || (of.policy.overlap === "cancel-running" && of.waits);
  const wanted = of.policy.catchUp === "latest" || waited;
  const newer = of.recurrence.next(missedMs);
  if (!wanted || (newer !== null && newer <= of.nowMs)) return { runs: [], reason: "catch-up" };
  if (missedMs < of.nowMs - of.policy.catchUpWindowMs) return { runs: [], reason: "window" };
  return { runs: [missedMs], reason: "catch-up" };
}

/**
 * Decides the instants of a schedule up to now, at most one round's: which run, and which are skipped and why. Ignores
 * overlapping runs. It does not enumerate skipped instants, so the cost does not depend on the length of an absence.
 */
export function decide(of: Undecided): Decision {
  const { recurrence, cursorMs, nowMs } = of;
  const firstMs = recurrence.next(cursorMs);
  if (firstMs === null || firstMs > nowMs)
    return { runs: [], skipped: [], cursorMs: Math.max(cursorMs, nowMs) };
  if (of.policy.catchUp === "all")
    return of.policy.overlap === "cancel-running" ? newestInWindow(of, firstMs) : catchUpAll(of, firstMs);
  const missedMs = latest(recurrence, nowMs - MISSED_AFTER_MS);
  if (missedMs === null || missedMs <= cursorMs) return { ...inTime(of, cursorMs), skipped: [] };
  const { runs, reason } = missedRun(of, missedMs);
  const untilMs = runs.length === 0 ? missedMs : recurrence.previous(missedMs);
  const skipped = untilMs !== null && untilMs >= firstMs ? [{ fromMs: firstMs, untilMs, reason }] : [];
  const rest = inTime(of, missedMs);
  return { runs: [...runs, ...rest.runs], cursorMs: rest.cursorMs, skipped };
}

/** The part of a decision that can be carried out now, given whether a run of the schedule is open. */
export interface Fitted extends Decision {
  /** An instant waits until the schedule's previous run has ended. */
  readonly waits: boolean;
}

/** Applies the overlap policy to a decision. Runs of one round overlap as runs of different rounds do. */
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
  // Only the skipped stretch before the waiting instant is decided now.
  if (args.live)
    return { runs: [], skipped, cursorMs: skipped.at(-1)?.untilMs ?? args.cursorMs, waits: true };
  const more = rest.length > 0;
  return { runs: [first], skipped, cursorMs: more ? first : decision.cursorMs, waits: more };
}

/** Each run of a round would cancel the one before it, so only the newest is created. */
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
 * Makes a decision final: an instant up to now that would wait for the previous run, or for another round, is skipped.
 * For a rule that ends now.
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
