import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { crashedAt, isHeapFull, lastOutput, printedError } from "./last-error.ts";

const PYTHON = `loading
Traceback (most recent call last):
  File "/code/old.py", line 2, in <module>
    1 / 0
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/code/train.py", line 40, in <module>
    main()
  File "/code/train.py", line 12, in load
    raise errors.NoRows("no rows in sales")
acme.errors.NoRows: no rows in sales
`;

test("the last error of a Python traceback has its class, its message and the innermost frame", () => {
  const error = printedError(PYTHON);
  expect(error).toMatchObject({ name: "NoRows", message: "no rows in sales (/code/train.py:12, in load)" });
  expect(error?.stack).toMatch(/^Traceback .*\n.*line 40[\s\S]*NoRows: no rows in sales$/);
  expect(error?.stack).not.toContain("ZeroDivisionError");
});

test("a Python error without a message is its class", () => {
  const text = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nKeyboardInterrupt\n';
  expect(printedError(text)).toMatchObject({
    name: "KeyboardInterrupt",
    message: "KeyboardInterrupt (a.py:1, in <module>)",
  });
});

test("an uncaught error of Node has the first frame that is not of a package", () => {
  const text = `file:///code/job.js:3
    throw new TypeError("no rows");
          ^

TypeError: no rows
    at parse (/code/node_modules/csv/index.js:9:1)
    at load (file:///code/job.js:3:11)
    at node:internal/main:1:1

Node.js v24.21.0
`;
  expect(printedError(text)).toMatchObject({
    name: "TypeError",
    message: "no rows (/code/job.js:3:11, in load)",
  });
});

test("of a crash of Python, the line outside of packages is found", () => {
  const crash = `loading
Fatal Python error: Segmentation fault

Thread 0x00007f01 (most recent call first):
  File "/usr/lib/python3.12/threading.py", line 1 in wait

Current thread 0x00007f02 (most recent call first):
  File "/usr/lib/python3.12/ctypes/__init__.py", line 519 in string_at
  File "flows/load.py", line 12 in read
  File "flows/load.py", line 40 in load
  File "/w/lib/python3.12/site-packages/towpath/_internal/task/run_task.py", line 9 in call

Extension modules: numpy.core._multiarray_umath (total: 1)
`;
  expect(crashedAt(crash)).toBe("flows/load.py:12, in read");
  expect(crashedAt(crash.replaceAll("flows/", "/usr/lib/python3.12/"))).toMatch(
    /ctypes.*:519, in string_at$/,
  );
  expect(crashedAt(PYTHON)).toBeNull();
  expect(crashedAt("Fatal Python error: Aborted\n")).toBeNull();
});

test("other output is described by its last line", () => {
  expect(printedError("a\nsh: 1: foo: not found\n\n")).toEqual({
    name: null,
    message: "sh: 1: foo: not found",
    stack: null,
  });
  expect(printedError("\n \n")).toBeNull();
});

test("V8's message about its heap is known", () => {
  const text =
    "\n<--- Last few GCs --->\n\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n----- Native stack trace -----\n";
  expect(isHeapFull(text)).toBe(true);
  expect(isHeapFull("we had JavaScript heap out of memory last week")).toBe(false);
});

test("only whole lines of the end of a file are read, and a missing file is empty", async () => {
  const folder = await mkdtemp(join(tmpdir(), "towpath-"));
  const path = join(folder, "stderr");
  await writeFile(path, `${"x".repeat(40_000)}\nlast\n`);
  expect(await lastOutput(path)).toBe("last\n");
  expect(await lastOutput(join(folder, "none"))).toBe("");
});

test("a line whose beginning is not read is dropped, because it could hold half a secret", async () => {
  const folder = await mkdtemp(join(tmpdir(), "towpath-"));
  const path = join(folder, "stderr");
  const secret = "correct-horse-battery-staple";
  // The last 16 KiB begin in the middle of the secret, and no line ends after it.
  await writeFile(path, `${"x".repeat(20_000)}${secret}${"y".repeat(16 * 1024 - secret.length / 2)}`);
  expect(await lastOutput(path)).toBe("");
  // Space that was given back ends in the middle of the secret.
  await writeFile(path, `${"\0".repeat(4_096)}${secret.slice(14)}\nlast\n`);
  expect(await lastOutput(path)).toBe("last\n");
  await writeFile(path, `${"\0".repeat(4_096)}${secret.slice(14)}`);
  expect(await lastOutput(path)).toBe("");
});
