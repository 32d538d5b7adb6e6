import { expect, test } from "vitest";
import { duration } from "./format.ts";

test("a duration has its two largest units, the smaller one as wide as any of its kind", () => {
  const said = [0, 840, 12_437, 59_999, 65_000, 185_000, 7_800_000, 86_400_001, 273_600_001].map(duration);
  expect(said).toEqual([
    ...["0 ms", "840 ms", "12.4 s", "59.9 s", "1 min 05 s", "3 min 05 s"],
    ...["2 h 10 min", "24 h 00 min", "3 d 4 h"],
  ]);
});

test("a whole number of units, which somebody has set, goes without zeros", () => {
  expect([1_000, 60_000, 300_000, 7_200_000, 3 * 86_400_000].map(duration)).toEqual([
    ...["1 s", "1 min", "5 min", "2 h", "3 d"],
  ]);
});
