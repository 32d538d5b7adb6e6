import { expect, test } from "vitest";
import { mergeQueries, nextDue, nextDueText } from "./next-due.ts";

/** A schedule that is due in so many hours, or is paused. */
const due = (hours: number | null) => ({
  nextAt: hours === null ? null : new Date(Date.UTC(2026, 2, 1, hours)).toISOString(),
});

test("of many schedules, those due next are read first and paused ones last", () => {
  const many = [null, ...Array.from({ length: 20 }, (_, index) => 40 - index)].map(due);
  expect(nextDue(many)).toEqual(Array.from({ length: 12 }, (_, index) => due(21 + index)));
  expect(nextDue([due(null), due(3), due(1)])).toEqual([due(1), due(3), due(null)]);
});

test("the number of shown schedules is given if some are left out", () => {
  expect(nextDueText(12, 30)).toBe("the 12 schedules due next, of 30");
  expect(nextDueText(3, 3)).toBeUndefined();
});

test("merged queries have data when all have it, and only a failed one is tried again", () => {
  const asked: string[] = [];
  const of = (data: string[] | undefined, error: Error | null, name = "") => ({
    data,
    error,
    refetch: () => asked.push(name),
  });
  expect(mergeQueries([of(["a"], null), of(undefined, null)])).toMatchObject({
    data: undefined,
    error: null,
  });
  expect(mergeQueries([of(["a"], null), of(["b", "c"], null)]).data).toEqual(["a", "b", "c"]);
  const error = new Error("no answer");
  const failed = mergeQueries([of(["a"], null, "first"), of(undefined, error, "second")]);
  expect(failed).toMatchObject({ data: undefined, error });
  failed.refetch?.();
  expect(asked).toEqual(["second"]);
});
