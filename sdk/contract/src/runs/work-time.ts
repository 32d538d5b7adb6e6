import type { RunSummary } from "./runs.ts";

/** The fields of a run that its times are computed from. */
export type RunTimes = Pick<RunSummary, "startedAt" | "endedAt" | "workedMs" | "workingSince">;

/** The times of a run, milliseconds. */
export interface WorkTime {
  /** The time of its attempts: the duration that lists and charts show. */
  readonly workMs: number;
  /** The time between its attempts, in which it waited for an answer, an event, a slot or a retry. */
  readonly waitMs: number;
}

/**
 * How long a run has worked and waited since its start. For a run whose earlier attempts an earlier release did not count, all of it
 * is work. Null: it has not started.
 * @param nowMs the end of a run that has not ended, milliseconds since 1970
 */
export function workTimeOf(run: RunTimes, nowMs: number): WorkTime | null {
  if (run.startedAt === null) return null;
  const startMs = Date.parse(run.startedAt);
  const wholeMs = Math.max(0, (run.endedAt === null ? nowMs : Date.parse(run.endedAt)) - startMs);
  const workMs = Math.min(wholeMs, knownWorkMs(run, nowMs) ?? wholeMs);
  return { workMs, waitMs: wholeMs - workMs };
}

/** Null: it had one attempt, or not all are counted. */
function knownWorkMs({ endedAt, workedMs, workingSince }: RunTimes, nowMs: number): number | null {
  if (workedMs === null || workingSince === null) return workedMs;
  // An earlier release ended it, and counted nothing.
  if (endedAt !== null) return null;
  return workedMs + Math.max(0, nowMs - Date.parse(workingSince));
}

/** Whether the working time of a run grows. */
export function isWorking({ startedAt, endedAt, workedMs, workingSince }: RunTimes): boolean {
  return startedAt !== null && endedAt === null && (workingSince !== null || workedMs === null);
}
