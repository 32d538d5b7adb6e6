import { Problem } from "@towpath/contract";
import { expect, test } from "vitest";
import { instantOf, timingOf, withOptionNames } from "./timing.ts";

test.each([
  ["2026-01-01", "UTC", "2026-01-01T00:00:00.000Z"],
  ["2026-01-01", "Europe/Berlin", "2025-12-31T23:00:00.000Z"],
  ["2026-07-01", "America/New_York", "2026-07-01T04:00:00.000Z"],
  ["2026-07-01T09:30", "Asia/Kolkata", "2026-07-01T04:00:00.000Z"],
  ["2026-07-01T09:30:15Z", "Asia/Kolkata", "2026-07-01T09:30:15.000Z"],
  ["2026-07-01T09:30+02:00", "Asia/Kolkata", "2026-07-01T07:30:00.000Z"],
  // The clocks go forward at 02:00 and back at 03:00.
  ["2026-03-29T03:00", "Europe/Berlin", "2026-03-29T01:00:00.000Z"],
  ["2026-10-26", "Europe/Berlin", "2026-10-25T23:00:00.000Z"],
])("%s in the zone %s is the instant %s", (text, zone, instant) => {
  expect(instantOf("--from", text, zone)).toBe(instant);
});

test.each(["yesterday", "2026-1-1", "2026-13-01", "2026-01-01T9:00", "2026-01-01T25:00"])(
  "%s is refused, naming the option",
  (text) => {
    expect(() => instantOf("--from", text, "UTC")).toThrow(`--from "${text}" is not a time`);
  },
);

test("an interval with a time zone is refused, because it has none", () => {
  expect(() => timingOf({ every: "15m", zone: "Europe/Oslo" })).toThrow("An interval has no time zone.");
});

test("a refused timing names the option", () => {
  const fault = { path: "timing.cron", message: "Invalid value" };
  const refused = new Problem("invalid-schedule", "timing.cron: Invalid value", { faults: [fault] });
  expect(withOptionNames(refused)).toMatchObject({
    code: "invalid-schedule",
    detail: "--cron: Invalid value",
    faults: [{ path: "--cron", message: "Invalid value" }],
  });
});
