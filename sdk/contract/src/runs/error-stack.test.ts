import { expect, test } from "vitest";
import { framesOf, othersOf, placeOf } from "./error-stack.ts";

test("The deepest frame of the reader's own code is found below Node's and packages'", () => {
  const stack = [
    "TypeError: fetch failed",
    "because of the network",
    "    at node:internal/deps/undici/undici:13510:13",
    "    at async get (file:///app/node_modules/got/index.js:1:1)",
    "    at load (flows/load.ts:12:9)",
    "    at main (flows/load.ts:40:3)",
  ].join("\n");
  const { head, frames, deepest } = framesOf(stack);
  expect(head).toBe("TypeError: fetch failed\nbecause of the network");
  expect(frames).toHaveLength(4);
  expect(frames[deepest]?.text).toBe("at load (flows/load.ts:12:9)");
});

test("The innermost cause from the reader's own code is shown", () => {
  const stack = [
    "Error: the census failed",
    "    at census (flows/census.ts:9:3)",
    "Caused by: RangeError: no rate for CHF",
    "    at convert (flows/rates.ts:41:11)",
    "Caused by: Error: socket hang up",
    "    at node:net:1:1",
  ].join("\n");
  const { head, frames, deepest } = framesOf(stack);
  expect(head).toBe("RangeError: no rate for CHF");
  expect(othersOf(stack).map(({ relation, head }) => [relation, head])).toEqual([
    ["cause", "Error: socket hang up"],
    ["thrown", "Error: the census failed"],
  ]);
  expect(frames[deepest]?.text).toBe("at convert (flows/rates.ts:41:11)");
});

test("A Python traceback is read from its end, skipping packages", () => {
  const stack = [
    "Traceback (most recent call last):",
    '  File "/app/train.py", line 80, in <module>',
    "    main()",
    '  File "/app/train.py", line 61, in fit',
    "    model.fit(x)",
    '  File "/usr/lib/python3.11/site-packages/sklearn/base.py", line 1, in fit',
    "    raise ValueError(x)",
    "ValueError: x is empty",
  ].join("\n");
  const { head, frames, deepest } = framesOf(stack);
  expect(head).toBe("ValueError: x is empty");
  expect(frames).toHaveLength(3);
  expect(frames[deepest]).toEqual({
    text: 'File "/app/train.py", line 61, in fit',
    code: "model.fit(x)",
    own: true,
  });
});

/** A traceback of one error, as Python prints it. */
function traceback(error: string, line: number, call: string): string {
  return [
    "Traceback (most recent call last):",
    `  File "flows/load.py", line ${line}, in ${call}`,
    "    return int(row)",
    "           ^^^^^^^^",
    error,
    "",
  ].join("\n");
}

const DIRECT = "\nThe above exception was the direct cause of the following exception:\n\n";
const HANDLING = "\nDuring handling of the above exception, another exception occurred:\n\n";

test("The cause of a Python error is shown, and not what was only being handled", () => {
  const cause = traceback("ValueError: invalid literal: 'x'", 12, "parse");
  const thrown = traceback("BadRow: row 'x'\nis not a number", 14, "parse");
  expect(framesOf(cause + DIRECT + thrown).head).toBe("ValueError: invalid literal: 'x'");
  const later = traceback("KeyError: 'name'", 30, "clean_up");
  const { head, frames } = framesOf(cause + DIRECT + thrown + HANDLING + later);
  expect(head).toBe("KeyError: 'name'");
  expect(frames[0]?.text).toBe('File "flows/load.py", line 30, in clean_up');
  expect(framesOf(thrown).head).toBe("BadRow: row 'x'\nis not a number");
  expect(othersOf(thrown)).toEqual([]);
  const others = othersOf(cause + DIRECT + thrown + HANDLING + later);
  expect(others.map(({ relation, head }) => [relation, head.split("\n")[0]])).toEqual([
    ["cause", "ValueError: invalid literal: 'x'"],
    ["handled", "BadRow: row 'x'"],
  ]);
});

test("The first error of a group in Python is shown, with its own cause", () => {
  const indented = (text: string) => text.trimEnd().replace(/^/gm, "    | ");
  const stack = [
    "  + Exception Group Traceback (most recent call last):",
    '  |   File "flows/load.py", line 40, in main',
    '  |     raise ExceptionGroup("many", errors)',
    "  | ExceptionGroup: many (2 sub-exceptions)",
    "  +-+---------------- 1 ----------------",
    indented(traceback("ValueError: first", 12, "parse") + DIRECT + traceback("BadRow: first", 14, "parse")),
    "    +---------------- 2 ----------------",
    indented(traceback("BadRow: second", 14, "parse")),
    "    +------------------------------------",
  ].join("\n");
  const { head, frames, deepest } = framesOf(stack);
  expect(head).toBe("ValueError: first");
  expect(othersOf(stack).map(({ relation, head }) => [relation, head])).toEqual([
    ["member", "BadRow: first"],
    ["member", "BadRow: second"],
    ["thrown", "ExceptionGroup: many (2 sub-exceptions)"],
  ]);
  expect(frames[deepest]?.text).toBe('File "flows/load.py", line 12, in parse');
});

test("Only Towpath's own packages are foreign, not a folder of the reader with the same name", () => {
  const stack = [
    "RangeError: no rate",
    "    at run (file:///app/towpath/node_modules/towpath/src/task/run.ts:9:1)",
    "    at engine (file:///app/src/sdk/flow/src/engine/run.ts:9:1)",
    "    at convert (file:///app/towpath/flows/rates.ts:41:11)",
    "    at main (/app/towpath/flows/rates.ts:60:3)",
  ].join("\n");
  const { frames, deepest } = framesOf(stack);
  expect(frames.map(({ own }) => own)).toEqual([false, false, true, true]);
  expect(deepest).toBe(2);
});

test("A stack without frames has no deepest one", () => {
  expect(framesOf("Exit code 3")).toMatchObject({ head: "Exit code 3", frames: [], deepest: -1 });
});

test("A frame says its function, file and line", () => {
  expect(placeOf("at async load (flows/load.ts:12:9)")).toEqual({
    call: "load",
    place: "flows/load.ts:12:9",
  });
  expect(placeOf("at file:///app/flow.ts:3:1")).toEqual({ call: "", place: "/app/flow.ts:3:1" });
  expect(placeOf('File "/app/train.py", line 61, in fit')).toEqual({
    call: "fit",
    place: "/app/train.py:61",
  });
  expect(placeOf("at somewhere")).toBeNull();
});
