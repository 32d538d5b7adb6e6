import { expect, test } from "vitest";
import { closest } from "./suggest.ts";

test("the nearest known word is found, whatever its case", () => {
  expect(closest("islnd", ["rows", "island"])).toBe("island");
  expect(closest("ROWS", ["rows", "island"])).toBe("rows");
  expect(closest("zzzz", ["rows", "island"])).toBeNull();
});

test("words of more than 64 characters have no nearest one, and only the first 100 are compared", () => {
  const long = "x".repeat(65);
  expect(closest(long, [long])).toBeNull();
  expect(closest("x".repeat(64), [long])).toBeNull();
  const known = Array.from({ length: 100 }, (_, n) => `other${n}`);
  expect(closest("rowz", ["rows", ...known])).toBe("rows");
  expect(closest("rowz", [...known, "rows"])).toBeNull();
});
