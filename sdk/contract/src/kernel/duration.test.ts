import { expect, test } from "vitest";
import { durationText, parseDuration } from "./duration.ts";

test.each([
  ["90s", 90_000],
  ["15m", 900_000],
  ["1h30m", 5_400_000],
  ["1h 30m", 5_400_000],
  ["30d", 30 * 86_400_000],
  ["250ms", 250],
  ["2w", 14 * 86_400_000],
])("%s is a length of time", (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(["", "15", "h", "1 hour", "-5m", "5m!", "five"])("%s is none", (text) => {
  expect(parseDuration(text)).toBeNull();
});

test("a duration has its two largest units, the smaller one as wide as any of its kind", () => {
  const said = [0, 840, 12_437, 59_999, 65_000, 185_000, 7_800_000, 86_400_001, 273_600_001].map(
    durationText,
  );
  expect(said).toEqual([
    "0 ms",
    "840 ms",
    "12.4 s",
    "59.9 s",
    "1 min 05 s",
    "3 min 05 s",
    "2 h 10 min",
    "24 h 00 min",
    "3 d 4 h",
  ]);
});

test("a whole number of units, which somebody has set, goes without zeros", () => {
  expect([1_000, 60_000, 300_000, 7_200_000, 3 * 86_400_000].map(durationText)).toEqual([
    "1 s",
    "1 min",
    "5 min",
    "2 h",
    "3 d",
  ]);
});
