import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Decision, decide, fitOverlap, ROUND_RUNS_MAX } from "./decide.ts";
import { instantsAfter } from "./timing/recurrence.ts";
import { intervalRecurrence } from "./timing/timing.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const hourly = intervalRecurrence(HOUR, 0);
const policy = { catchUp: "latest", catchUpWindowMs: 24 * HOUR, overlap: "allow" } as const;

const hours = (decision: Decision) => ({
  runs: decision.runs.map((at) => at / HOUR),
  skipped: decision.skipped.map(({ fromMs, untilMs, reason }) => [fromMs / HOUR, untilMs / HOUR, reason]),
});

describe("instants that are decided in time", () => {
  test("run under every policy", () => {
    for (const catchUp of ["none", "latest", "all"] as const) {
      const decision = decide({
        recurrence: hourly,
        policy: { ...policy, catchUp },
        cursorMs: 9.5 * HOUR,
        nowMs: 10 * HOUR + 5,
      });
      expect(hours(decision)).toEqual({ runs: [10], skipped: [] });
      expect(decision.cursorMs).toBe(10 * HOUR + 5);
    }
  });

  test("are none between two instants", () => {
    const decision = decide({ recurrence: hourly, policy, cursorMs: 10 * HOUR, nowMs: 10.5 * HOUR });
    expect(decision).toEqual({ runs: [], skipped: [], cursorMs: 10.5 * HOUR });
  });
});

describe("after an absence from 10 to 15 h and a half", () => {
  const absent = { recurrence: hourly, cursorMs: 10 * HOUR, nowMs: 15.5 * HOUR };

  test("none skips the missed instants", () => {
    const decision = decide({ ...absent, policy: { ...policy, catchUp: "none" } });
    expect(hours(decision)).toEqual({ runs: [], skipped: [[11, 15, "catch-up"]] });
  });

  test("latest runs the last missed instant", () => {
    expect(hours(decide({ ...absent, policy }))).toEqual({ runs: [15], skipped: [[11, 14, "catch-up"]] });
  });

  test("latest runs only the new instant if one has just come", () => {
    const decision = decide({ ...absent, policy, nowMs: 16 * HOUR });
    expect(hours(decision)).toEqual({ runs: [16], skipped: [[11, 15, "catch-up"]] });
  });

  test("all runs every instant", () => {
    const decision = decide({ ...absent, policy: { ...policy, catchUp: "all" } });
    expect(hours(decision)).toEqual({ runs: [11, 12, 13, 14, 15], skipped: [] });
  });

  test("all starts at the beginning of the window", () => {
    const decision = decide({ ...absent, policy: { ...policy, catchUp: "all", catchUpWindowMs: 2 * HOUR } });
    expect(hours(decision)).toEqual({ runs: [14, 15], skipped: [[11, 13, "window"]] });
  });

  test("latest neither", () => {
    const decision = decide({ ...absent, policy: { ...policy, catchUpWindowMs: HOUR / 4 } });
    expect(hours(decision)).toEqual({ runs: [], skipped: [[11, 15, "window"]] });
  });
});

test("a year without a look at a schedule of every second costs one stretch", () => {
  const decision = decide({
    recurrence: intervalRecurrence(1000, 0),
    policy: { ...policy, catchUp: "none" },
    cursorMs: 0,
    nowMs: 365 * 24 * HOUR,
  });
  expect(decision.skipped).toHaveLength(1);
  expect(decision.runs).toHaveLength(60);
});

test("under every policy and with any number of looks, each instant is decided exactly once", () => {
  const looks = fc.array(fc.integer({ min: 1, max: 400 * MINUTE }), { minLength: 1, maxLength: 20 });
  const policies = fc.record({
    catchUp: fc.constantFrom("none" as const, "latest" as const, "all" as const),
    catchUpWindowMs: fc.integer({ min: 0, max: 300 * MINUTE }),
    overlap: fc.constantFrom("allow" as const, "skip" as const, "wait" as const),
  });
  fc.assert(
    fc.property(looks, policies, fc.array(fc.boolean(), { maxLength: 20 }), (steps, given, lives) => {
      const recurrence = intervalRecurrence(7 * MINUTE, 0);
      let [cursorMs, nowMs] = [0, 0];
      const decided: number[] = [];
      for (const [index, step] of steps.entries()) {
        nowMs += step;
        for (let more = true; more; ) {
          const decision = decide({ recurrence, policy: given, cursorMs, nowMs });
          const live = lives[index] ?? false;
          const fitted = fitOverlap(decision, { overlap: given.overlap, live, cursorMs });
          for (const { fromMs, untilMs } of fitted.skipped)
            for (const at of instantsAfter(recurrence, fromMs - 1)) {
              if (at > untilMs) break;
              decided.push(at);
            }
          decided.push(...fitted.runs);
          more = fitted.cursorMs < nowMs && !fitted.waits && fitted.runs.length === ROUND_RUNS_MAX;
          cursorMs = fitted.cursorMs;
        }
      }
      const expected: number[] = [];
      for (const at of instantsAfter(recurrence, 0)) {
        if (at > cursorMs) break;
        expected.push(at);
      }
      expect(decided.toSorted((a, b) => a - b)).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});
