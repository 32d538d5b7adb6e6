import { expect, test } from "vitest";
import { failingOf, type LatestRun } from "./latest-runs.ts";

/** A run that started and ended in these minutes of an hour. */
function run(state: LatestRun["state"], from: number, to: number | null): LatestRun {
  const at = (minute: number) => `2026-03-01T10:${String(minute).padStart(2, "0")}:00Z`;
  return {
    id: `${from}`,
    state,
    createdAt: at(from),
    startedAt: at(from),
    endedAt: to === null ? null : at(to),
    workedMs: null,
    workingSince: to === null ? at(from) : null,
  };
}

test("a deployment is failing from its first failure after a completed run until the next completed run", () => {
  const runs = [
    run("running", 40, null),
    run("failed", 30, 31),
    run("crashed", 20, 21),
    run("completed", 10, 11),
  ];
  expect(failingOf(runs).map(({ id }) => id)).toEqual(["30", "20"]);
  expect(failingOf([run("completed", 50, 51), ...runs])).toEqual([]);
});

test("the run that ended last counts, and cancelled runs do not", () => {
  expect(failingOf([run("completed", 20, 21), run("failed", 10, 30)]).map(({ id }) => id)).toEqual(["10"]);
  expect(failingOf([run("cancelled", 30, 31), run("completed", 10, 11), run("failed", 5, 6)])).toEqual([]);
});
