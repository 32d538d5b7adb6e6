import { expect, test } from "vitest";
import { lineLevel } from "./line-level.ts";

test.each([
  ["WARNING:root:3 rows are empty", "warn"],
  ["2026-01-31 09:00:00,123 ERROR load: no rows", "error"],
  ["2026-01-31 09:00:00,123 - etl.load - WARNING - slow", "warn"],
  ["2026-01-31T09:00:00Z INFO started", "info"],
  ["[2026-01-31 09:00:00] [main] DEBUG: x", "debug"],
  ["[error] no rows", "error"],
  ["warn: deprecated", "warn"],
  ["error: could not compile", "error"],
  ["npm warn deprecated x", "info"],
  ['{"time":1,"level":"error","msg":"no rows"}', "error"],
  ["time=2026-01-31 level=warning msg=slow", "warn"],
  ["09:00:00 | CRITICAL | gone", "error"],
  ["load.py:3: UserWarning: 3 rows are empty", "warn"],
  ["Traceback (most recent call last):", "error"],
  ["ValueError: no rows", "error"],
  ["botocore.exceptions.ClientError: denied", "error"],
  ["TypeError: x is not a function", "error"],
  ["FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "error"],
])("%s is of the level %s", (line, level) => {
  expect(lineLevel(line)).toBe(level);
});

test.each([
  "",
  "Downloading 12 %",
  "0 errors, 3 warnings",
  "Loaded the error table",
  "the level is: fine",
  "100%|██████████| 10/10 [00:01<00:00]",
  "INFORMATION about rows",
  '  File "load.py", line 3, in load',
  "sqlalchemy.engine SELECT error FROM log",
  "x".repeat(100_000),
])("%j has no level of its own and is info", (line) => {
  expect(lineLevel(line)).toBe("info");
});

test.each([
  "1 2 3 4 5 6 7 8 9 ".repeat(10),
  `${"1    ".repeat(17)}`,
  `2026-01-31 ${"| ".repeat(20)}x${" -".repeat(20)} y${" |".repeat(20)}`,
  `${"12:".repeat(13)} ${"a ".repeat(40)}`,
  "-".repeat(120),
  `level${" ".repeat(500)}`,
])("the level of %j is found without trying many ways to divide it", (line) => {
  const began = performance.now();
  for (let count = 0; count < 2_000; count += 1) lineLevel(line);
  // A pattern that tries them takes milliseconds for one line.
  expect(performance.now() - began).toBeLessThan(5_000);
});
