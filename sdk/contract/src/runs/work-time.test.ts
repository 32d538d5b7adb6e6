import { expect, test } from "vitest";
import { isWorking, type RunTimes, workTimeOf } from "./work-time.ts";

const at = (second: number) => new Date(second * 1_000).toISOString();
const run = (more: Partial<RunTimes>): RunTimes => ({
  startedAt: at(100),
  endedAt: null,
  workedMs: null,
  workingSince: null,
  ...more,
});
const timesOf = (more: Partial<RunTimes>) => workTimeOf(run(more), 200_000);

test("the time between attempts is waiting, and the rest is work", () => {
  expect(timesOf({ endedAt: at(190), workedMs: 12_000 })).toEqual({ workMs: 12_000, waitMs: 78_000 });
  // Suspended.
  expect(timesOf({ workedMs: 12_000 })).toEqual({ workMs: 12_000, waitMs: 88_000 });
  // In its second attempt.
  expect(timesOf({ workedMs: 12_000, workingSince: at(195) })).toEqual({ workMs: 17_000, waitMs: 83_000 });
  expect(timesOf({ startedAt: null })).toBeNull();
});

test("a run with one attempt, and one that was not counted, worked the whole time", () => {
  expect(timesOf({ endedAt: at(190) })).toEqual({ workMs: 90_000, waitMs: 0 });
  expect(timesOf({ workingSince: at(100) })).toEqual({ workMs: 100_000, waitMs: 0 });
  expect(timesOf({ workingSince: at(150) })).toEqual({ workMs: 100_000, waitMs: 0 });
  // An earlier release ended its last attempt.
  expect(timesOf({ endedAt: at(190), workedMs: 5_000, workingSince: at(150) })).toMatchObject({ waitMs: 0 });
  expect(timesOf({ endedAt: at(104), workedMs: 5_000 })).toEqual({ workMs: 4_000, waitMs: 0 });
});

test("the working time grows while an attempt runs", () => {
  const grows = (more: Partial<RunTimes>) => isWorking(run(more));
  expect([
    grows({ workingSince: at(100) }),
    grows({}),
    grows({ workedMs: 1, workingSince: at(150) }),
  ]).toEqual([true, true, true]);
  expect([grows({ workedMs: 1 }), grows({ endedAt: at(190) }), grows({ startedAt: null })]).toEqual([
    false,
    false,
    false,
  ]);
});
