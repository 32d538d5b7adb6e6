import { expect, test } from "vitest";
import { callOf, momentMs } from "./task-run.fixture.ts";
import { pausesOf, percent, scaleOf, shortenedMs, workedMs } from "./time-scale.ts";

const at = (seconds: number) => new Date(momentMs(seconds)).toISOString();
const attempt = (id: string, from: number | null, to: number | null) => ({
  id,
  startedAt: from === null ? null : at(from),
  endedAt: to === null ? null : at(to),
});
const span = (from: number, to: number) => ({ fromMs: momentMs(from), toMs: momentMs(to) });

test("a pause is the time between two attempts in which no task ran", () => {
  const tasks = [
    { ...callOf("load", { from: 1, to: 12 }), attemptId: "one" },
    { ...callOf("hold", { from: 95, to: 99 }), attemptId: "two" },
    { ...callOf("load", { from: 50, to: 50, reused: true }), attemptId: "two" },
  ];
  const attempts = [attempt("one", 0, 10), attempt("unstarted", null, 20), attempt("two", 100, null)];
  expect(pausesOf(tasks, attempts)).toEqual([span(12, 95)]);
  expect(pausesOf([], [attempt("one", 0, 10)])).toEqual([]);
});

test("a long pause takes a small part of the axis, and what is around it keeps its proportions", () => {
  const scale = scaleOf(span(0, 1_000), [span(50, 950)]);
  const where = [0, 25, 50, 950, 1_000].map((seconds) => percent(momentMs(seconds), scale));
  const total = 103;
  const expected = [0, 25, 50, 53, 103].map((drawn) => (drawn / total) * 100);
  for (const [index, value] of expected.entries()) expect(where[index]).toBeCloseTo(value);
  expect(workedMs(1, scale)).toBeCloseTo(100_000);
  expect(workedMs(51 / total, scale)).toBeCloseTo(50_000);
  expect(shortenedMs(scale)).toBeCloseTo(897_000);
});

test("a pause that is short already keeps its length, and many pauses leave most of the axis to the work", () => {
  expect(shortenedMs(scaleOf(span(0, 100), [span(50, 51)]))).toBe(0);
  const many = Array.from({ length: 100 }, (_, n) => span(n * 100 + 10, n * 100 + 100));
  const scale = scaleOf(span(0, 10_010), many);
  const drawn = scale.pauses.reduce((sum, one) => sum + one.drawnMs, 0);
  expect(drawn).toBeCloseTo(0.3 * 1_010_000);
});

test("an axis without pauses is the plain time", () => {
  const scale = scaleOf(span(0, 10), [span(20, 30)]);
  expect(percent(momentMs(5), scale)).toBe(50);
  expect(workedMs(0.5, scale)).toBe(5_000);
});
