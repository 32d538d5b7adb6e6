import type { Calendar } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { dayAsSlot, daysOf, spanOf, wordsOf } from "./calendar-grid.ts";

const zone = "Europe/Berlin";
const empty: Calendar = { now: "2026-10-25T12:00:00.000Z", zone, hours: [], stretches: [], dueUntil: null };
const noon = (day: string) => Date.parse(`${day}T12:00:00Z`);

describe("the days of a calendar", () => {
  test("start and end at midnight in the zone, also across clock changes", () => {
    for (const day of ["2026-03-29", "2026-04-05", "2026-10-25", "2026-10-30", "2026-06-15"]) {
      const { fromMs, toMs } = spanOf("hours", { nowMs: noon(day), zone });
      const days = daysOf(empty, { fromMs, toMs });
      expect(days).toHaveLength(14);
      expect(days[9]?.on).toBe(day);
      expect(days.every(({ hours }) => (hours[0]?.length ?? 0) > 0)).toBe(true);
    }
  });

  test("have one hour twice when clocks go back, and one less when they go forward", () => {
    const autumn = daysOf(empty, spanOf("hours", { nowMs: noon("2026-10-25"), zone }));
    const spring = daysOf(empty, spanOf("hours", { nowMs: noon("2026-03-29"), zone }));
    expect(autumn[9]?.hours[2]).toHaveLength(2);
    expect(spring[9]?.hours[2]).toHaveLength(0);
    expect(autumn[8]?.hours.flat()).toHaveLength(24);
  });

  test("of weeks begin on a Monday", () => {
    const [first] = daysOf(empty, spanOf("days", { nowMs: noon("2026-11-21"), zone }));
    expect(new Date(`${first?.on}T00:00:00Z`).getUTCDay()).toBe(1);
  });

  test("add up the counts of their hours", () => {
    const hours = [
      { at: "2026-10-25T00:00:00.000Z", on: "2026-10-25", hour: 2, completed: 3 },
      { at: "2026-10-25T01:00:00.000Z", on: "2026-10-25", hour: 2, completed: 2, failed: 1 },
    ];
    const days = daysOf({ ...empty, hours }, spanOf("hours", { nowMs: noon("2026-10-25"), zone }));
    expect(days[9]?.hours[2]?.map((slot) => wordsOf(slot))).toEqual(["3 completed", "2 completed, 1 failed"]);
    const day = days[9];
    expect(day && wordsOf(dayAsSlot(day))).toBe("5 completed, 1 failed");
  });

  test("mark the hours of a range that was skipped as a whole", () => {
    const stretches = [
      { from: "2026-10-24T10:30:00.000Z", to: "2026-10-24T12:00:00.000Z", skipped: "catch-up" as const },
    ];
    const days = daysOf({ ...empty, stretches }, spanOf("hours", { nowMs: noon("2026-10-25"), zone }));
    const skipped = days.flatMap(({ on, hours }) =>
      hours.flatMap((slots, hour) => slots.flatMap((slot) => (slot.inStretch ? [`${on} ${hour}`] : []))),
    );
    expect(skipped).toEqual(["2026-10-24 12", "2026-10-24 13", "2026-10-24 14"]);
  });
});

test("A zone with half an hour in its offset has days of its own", () => {
  const kolkata = { ...empty, zone: "Asia/Kolkata" };
  const span = spanOf("hours", { nowMs: noon("2026-06-15"), zone: "Asia/Kolkata" });
  expect(new Date(span.fromMs).toISOString()).toBe("2026-06-05T18:30:00.000Z");
  expect(daysOf(kolkata, span)).toHaveLength(14);
});
