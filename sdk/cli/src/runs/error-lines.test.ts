import { expect, test } from "vitest";
import { errorLines } from "./error-lines.ts";

test("an error that was raised while another was handled has its own line first, then the other one with its cause", () => {
  const stack = [
    "Traceback (most recent call last):",
    '  File "flows/load.py", line 3, in load',
    '    int("x")',
    "ValueError: invalid literal",
    "",
    "The above exception was the direct cause of the following exception:",
    "",
    "Traceback (most recent call last):",
    '  File "flows/load.py", line 5, in load',
    '    raise KeyError("b") from error',
    "KeyError: 'b'",
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    "Traceback (most recent call last):",
    '  File "flows/load.py", line 7, in load',
    '    raise RuntimeError("c")',
    "RuntimeError: c",
  ].join("\n");
  expect(errorLines({ message: "c", stack })).toEqual([
    '    File "flows/load.py", line 7, in load',
    '        raise RuntimeError("c")',
    "Caused by ValueError: invalid literal  flows/load.py:3",
    "While handling KeyError: 'b'  flows/load.py:5",
  ]);
});

test("the errors of a group are listed, also those that nobody has raised, and no more than a few", () => {
  const members = Array.from({ length: 10 }, (_, index) => [
    `  ${index === 0 ? "+-+" : "  +"}---------------- ${index + 1} ----------------`,
    `    | ValueError: row ${index}`,
  ]).flat();
  const stack = [
    "  + Exception Group Traceback (most recent call last):",
    '  |   File "flows/load.py", line 40, in main',
    '  |     raise ExceptionGroup("many", errors)',
    "  | ExceptionGroup: many (10 sub-exceptions)",
    ...members,
    "    +------------------------------------",
  ].join("\n");
  const lines = errorLines({ message: "many (10 sub-exceptions)", stack });
  expect(lines.slice(0, 4)).toEqual([
    '    File "flows/load.py", line 40, in main',
    '        raise ExceptionGroup("many", errors)',
    "In the group: ValueError: row 0",
    "In the group: ValueError: row 1",
  ]);
  expect(lines.slice(9)).toEqual(["In the group: ValueError: row 7", "… and 2 more errors"]);
});

test("an error without a stack has no line", () => {
  expect(errorLines({ message: "gone" })).toEqual([]);
});
