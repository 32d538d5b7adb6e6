import { expect, test } from "vitest";
import { parseDuration } from "./duration.ts";

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
