import type { RunSummary } from "@towpath/contract";
import { expect, test } from "vitest";
import { columnsOf, nearestTo, pointsOf, SERIES, type TimedRun } from "./duration-points.ts";

const at = (second: number) => new Date(second * 1000).toISOString();

/** A run that was created in this second, started in the next one, and took `took` seconds if it has ended. */
function run(id: string, args: { second: number; state: TimedRun["state"]; took?: number }): TimedRun {
  return {
    id,
    deployment: "nightly",
    name: null,
    state: args.state,
    createdAt: at(args.second),
    startedAt: at(args.second + 1),
    endedAt: args.took === undefined ? null : at(args.second + 1 + args.took),
    workedMs: null,
    workingSince: args.took === undefined ? at(args.second + 1) : null,
  };
}

test("points are ordered by creation, each in its series, and unfinished runs last until now", () => {
  const timed = [
    run("d", { second: 40, state: "cancelling" }),
    run("c", { second: 30, state: "crashed", took: 5 }),
    run("b", { second: 20, state: "cancelled", took: 2 }),
    run("a", { second: 10, state: "completed", took: 0 }),
  ];
  const points = pointsOf({ timed, listed: [], now: 60_000 });
  expect(points.map((point) => [point.run.id, SERIES[point.series]?.sign, point.tookMs])).toEqual([
    ["a", "●", 1],
    ["b", "○", 2_000],
    ["c", "✕", 5_000],
    ["d", "▲", 19_000],
  ]);
  const [times, completed, failed] = columnsOf(points);
  expect(times).toEqual([10, 20, 30, 40]);
  expect([completed, failed]).toEqual([
    [1, null, null, null],
    [null, null, 5_000, null],
  ]);
});

test("the time between attempts is left out", () => {
  const timed = [{ ...run("a", { second: 10, state: "completed", took: 3_600 }), workedMs: 4_000 }];
  expect(pointsOf({ timed, listed: [], now: 0 }).map(({ tookMs }) => tookMs)).toEqual([4_000]);
});

test("the list replaces older data of a run, and waiting runs have no point", () => {
  const timed = [run("a", { second: 10, state: "running" })];
  const listed = [
    run("a", { second: 10, state: "failed", took: 3 }),
    { ...run("b", { second: 20, state: "ready" }), startedAt: null },
    // The chart reads nothing else of a listed run.
  ] as unknown as RunSummary[];
  const points = pointsOf({ timed, listed, now: 60_000 });
  expect(points.map((point) => [point.run.id, point.run.state, point.tookMs])).toEqual([
    ["a", "failed", 3_000],
  ]);
});

test("the nearest position is found within the distance, and none beyond it", () => {
  const places = [
    { left: 0, top: 0 },
    { left: 10, top: 0 },
    { left: 10, top: 4 },
  ];
  expect(nearestTo({ left: 9, top: 3 }, places, 20)).toBe(2);
  expect(nearestTo({ left: 9, top: 1 }, places, 20)).toBe(1);
  expect(nearestTo({ left: 60, top: 0 }, places, 20)).toBeNull();
  expect(nearestTo({ left: 0, top: 0 }, [], 20)).toBeNull();
});
