import type { Attempt, TaskRun } from "@towpath/contract";
import { type Span, spanOf } from "./waterfall-rows.ts";

/** The largest part of the axis that a pause between attempts takes, and that all pauses take together. */
const PAUSE_PART = 0.03;
const PAUSES_PART = 0.3;

/** A time between two attempts, and its length on the axis, milliseconds. */
export interface Pause extends Span {
  readonly drawnMs: number;
}

/** A time axis. Long pauses between attempts are drawn short: a run may wait days for an answer. */
export interface TimeScale extends Span {
  readonly pauses: readonly Pause[];
}

/** No pauses, always the same object. */
export const NONE: readonly Span[] = [];

/** The times between attempts: no attempt was under way, and no task ran. Workers have clocks of their own, so both count. */
export function pausesOf(
  tasks: readonly TaskRun[],
  attempts: readonly Pick<Attempt, "id" | "startedAt" | "endedAt">[],
): readonly Span[] {
  if (attempts.length < 2) return NONE;
  const byAttempt = Map.groupBy(
    tasks.filter(({ reused }) => !reused),
    ({ attemptId }) => attemptId,
  );
  const begun = attempts.filter(({ startedAt }) => startedAt !== null);
  return begun.slice(1).flatMap((next, index) => {
    const before = begun[index];
    if (before === undefined || before.endedAt === null || next.startedAt === null) return [];
    const fromMs = Math.max(Date.parse(before.endedAt), spanOf(byAttempt.get(before.id) ?? [], 0).toMs);
    const toMs = Math.min(Date.parse(next.startedAt), spanOf(byAttempt.get(next.id) ?? [], 0).fromMs);
    return toMs > fromMs ? [{ fromMs, toMs }] : [];
  });
}

/** The axis of a time span. Pauses outside of it are left out. */
export function scaleOf({ fromMs, toMs }: Span, pauses: readonly Span[]): TimeScale {
  const inside = pauses.filter((one) => one.fromMs >= fromMs && one.toMs <= toMs);
  const pausedMs = inside.reduce((sum, one) => sum + one.toMs - one.fromMs, 0);
  const longestMs = (toMs - fromMs - pausedMs) * Math.min(PAUSE_PART, PAUSES_PART / inside.length);
  return {
    fromMs,
    toMs,
    pauses: inside.map((one) => ({ ...one, drawnMs: Math.min(one.toMs - one.fromMs, longestMs) })),
  };
}

/** The distance of an instant from the start of the axis, milliseconds of the axis. */
function drawnMs(ms: number, scale: TimeScale): number {
  let drawn = ms - scale.fromMs;
  for (const pause of scale.pauses) {
    const lengthMs = pause.toMs - pause.fromMs;
    const passedMs = Math.min(Math.max(ms - pause.fromMs, 0), lengthMs);
    drawn -= passedMs * (1 - pause.drawnMs / lengthMs);
  }
  return drawn;
}

/** The length of the axis, milliseconds. */
export function lengthMs(scale: TimeScale): number {
  return Math.max(1, drawnMs(scale.toMs, scale));
}

/** The position of an instant, percent of the whole width. */
export function percent(ms: number, scale: TimeScale): number {
  return Math.min(100, Math.max(0, (drawnMs(ms, scale) / lengthMs(scale)) * 100));
}

/** The time without pauses from the start up to a part of the axis, 0 to 1, milliseconds. */
export function workedMs(part: number, scale: TimeScale): number {
  const at = part * drawnMs(scale.toMs, scale);
  return scale.pauses.reduce((left, pause) => {
    const into = at - drawnMs(pause.fromMs, scale);
    return left - Math.min(Math.max(into, 0), pause.drawnMs);
  }, at);
}

/** How much longer the pauses are than they are drawn, milliseconds. */
export function shortenedMs({ pauses }: TimeScale): number {
  return pauses.reduce((sum, one) => sum + one.toMs - one.fromMs - one.drawnMs, 0);
}
