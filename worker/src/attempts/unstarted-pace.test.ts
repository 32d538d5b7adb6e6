import { pino } from "pino";
import { expect, test } from "vitest";
import { UNSTARTED_PACE, UnstartedPace } from "./unstarted-pace.ts";

test("assignments that never run are taken at a limited pace, however many are sent", () => {
  let nowMs = 0;
  const wakes: number[] = [];
  const clock = { nowMs: () => nowMs };
  const pace = new UnstartedPace({
    clock,
    log: pino({ level: "silent" }),
    wakeAfter: (ms) => wakes.push(ms),
  });
  let taken = 0;
  const seconds = 60;
  for (; nowMs < seconds * 1_000; nowMs += 1)
    if (pace.isOpen) {
      pace.ended();
      taken += 1;
    }
  const most = UNSTARTED_PACE.burst + seconds * UNSTARTED_PACE.perSecond;
  expect(taken).toBeLessThanOrEqual(most + 1);
  expect(taken).toBeGreaterThan(most / 2);
  expect(new Set(wakes)).toEqual(new Set([1_000]));
});

test("a pause ends, and a slow trickle never begins one", () => {
  let nowMs = 0;
  const wakes: number[] = [];
  const clock = { nowMs: () => nowMs };
  const pace = new UnstartedPace({
    clock,
    log: pino({ level: "silent" }),
    wakeAfter: (ms) => wakes.push(ms),
  });
  for (let n = 0; n < 10_000; n++) {
    nowMs += 20;
    pace.ended();
  }
  expect(wakes).toEqual([]);
  while (pace.isOpen) pace.ended();
  nowMs += 1_000;
  expect(pace.isOpen).toBe(true);
});
