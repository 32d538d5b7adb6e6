import type { Schedule } from "@towpath/contract";
import type { Known } from "../kernel/standing.tsx";

/** Schedules whose instants are asked for one by one, at most. */
const ASKED_MAX = 12;

/** Those whose instants are asked for: what is due next first, what is paused or never due again last. */
export function askedOf<One extends Pick<Schedule, "nextAt">>(schedules: readonly One[]): One[] {
  const dueMs = ({ nextAt }: One) => (nextAt === null ? Number.MAX_VALUE : Date.parse(nextAt));
  return schedules.toSorted((a, b) => dueMs(a) - dueMs(b)).slice(0, ASKED_MAX);
}

/** Says of how many schedules something is shown, where that is not all of them. */
export function askedText(asked: number, all: number): string | undefined {
  return asked < all ? `the ${asked} schedules due next, of ${all}` : undefined;
}

/** What several questions found: nothing before all are answered, nor where one of them failed. */
export function together<Row>(answers: readonly Known<readonly Row[]>[]): Known<readonly Row[]> {
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
