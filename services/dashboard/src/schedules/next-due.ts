import type { Schedule } from "@towpath/contract";
import type { QueryState } from "../kernel/query-result.tsx";

/** Schedules whose times are read, at most. */
const ASKED_MAX = 12;

/** The schedules whose times are read: those due next first, then paused and finished ones. */
export function nextDue<One extends Pick<Schedule, "nextAt">>(schedules: readonly One[]): One[] {
  const dueMs = ({ nextAt }: One) => (nextAt === null ? Number.MAX_VALUE : Date.parse(nextAt));
  return schedules.toSorted((a, b) => dueMs(a) - dueMs(b)).slice(0, ASKED_MAX);
}

/** Says how many schedules are shown, if not all. */
export function nextDueText(asked: number, all: number): string | undefined {
  return asked < all ? `the ${asked} schedules due next, of ${all}` : undefined;
}

/** Merges several queries. It has data once all have, and an error if one has. */
export function mergeQueries<Row>(
  answers: readonly QueryState<readonly Row[]>[],
): QueryState<readonly Row[]> {
  const failed = answers.filter(({ data, error }) => data === undefined && error !== null);
  const isWhole = answers.every(({ data }) => data !== undefined);
  return {
    data: isWhole ? answers.flatMap(({ data }) => data ?? []) : undefined,
    error: failed[0]?.error ?? null,
    refetch: () => {
      for (const one of failed) void one.refetch?.();
    },
  };
}
