import { open } from "node:fs/promises";

/** How much of the end of a process's output is searched for its last error, bytes. */
const TAIL_BYTES = 16 * 1024;
const MESSAGE_CHARS = 1_000;
const STACK_LINES = 30;

/** The last error that a process printed. */
export interface PrintedError {
  /** Its class, if the output names one. */
  readonly name: string | null;
  /** One line, with the place in the code if the output names one. */
  readonly message: string;
  /** The lines of its stack or traceback. */
  readonly stack: string | null;
}

/** The whole lines at the end of an output file. Empty if there is no file. */
export async function lastOutput(path: string): Promise<string> {
  const file = await open(path, "r").catch(() => null);
  if (file === null) return "";
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - TAIL_BYTES);
    const buffer = Buffer.alloc(size - from);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
    // Space that was given back reads as NUL.
    const isCut = from > 0 || buffer[0] === 0;
    const text = buffer.subarray(0, bytesRead).toString("utf8").replaceAll("\0", "");
    if (!isCut) return text;
    // A line without its beginning could hold half a secret.
    const firstEnd = text.indexOf("\n");
    return firstEnd < 0 ? "" : text.slice(firstEnd + 1);
  } catch {
    return "";
  } finally {
    await file.close();
  }
}

/** V8 ends a process with this line when its heap is full. The operating system has no part in it. */
const HEAP_FULL = /^FATAL ERROR: .*JavaScript heap out of memory/m;

/** Whether the output says that V8's heap was full. */
export function isHeapFull(output: string): boolean {
  return HEAP_FULL.test(output);
}

/** The last error in the output of a process, by the form in which Python and Node print one; else the last line. */
export function printedError(output: string): PrintedError | null {
  const lines = output.split(/\r?\n/).map((line) => line.trimEnd());
  return pythonError(lines) ?? nodeError(lines) ?? lastLine(lines);
}

const CRASH = "Fatal Python error: ";
const CRASHED_THREAD = /^Current thread 0x[0-9a-f]+\b.*\(most recent call first\):$/;
const CRASH_FRAME = /^ {2}File "(.+)", line (\d+) in (.+)$/;
/** Code that the author did not write. */
const PACKAGED = /[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python3|[/\\]towpath[/\\]_internal[/\\]|^</;

/**
 * The line of Python at which native code ended the process, as `faulthandler` prints it: the innermost one outside of packages,
 * such as `flow.py:12, in load`. Null if the output has no such stack.
 */
export function crashedAt(output: string): string | null {
  const lines = output.split(/\r?\n/);
  const begin = lines.findLastIndex((line) => line.startsWith(CRASH));
  const thread = lines.findIndex((line, index) => index > begin && CRASHED_THREAD.test(line));
  if (begin < 0 || thread < 0) return null;
  const end = lines.findIndex((line, index) => index > thread && !line.startsWith("  "));
  const frames = lines.slice(thread + 1, end < 0 ? undefined : end).flatMap((line) => {
    const [, file, number, where] = CRASH_FRAME.exec(line) ?? [];
    return file === undefined ? [] : [{ file, place: `${file}:${number}, in ${where}` }];
  });
  return (
    (frames.find(({ file }) => !PACKAGED.test(file)) ?? frames[0])?.place.slice(0, MESSAGE_CHARS) ?? null
  );
}

const TRACEBACK = "Traceback (most recent call last):";
const PYTHON_FRAME = /^\s+File "(.+)", line (\d+)(?:, in (.+))?$/;

function pythonError(lines: readonly string[]): PrintedError | null {
  const begin = lines.findLastIndex((line) => line.endsWith(TRACEBACK));
  if (begin < 0) return null;
  const length = lines.slice(begin + 1).findIndex((line) => /^\S/.test(line));
  if (length < 0) return null;
  const at = begin + 1 + length;
  const frame = lines.slice(begin, at).findLast((line) => PYTHON_FRAME.test(line));
  const [, file, line, where] = PYTHON_FRAME.exec(frame ?? "") ?? [];
  const place = file === undefined ? null : `${file}:${line}${where === undefined ? "" : `, in ${where}`}`;
  return errorOf(lines[at] ?? "", { place, stack: lines.slice(begin, at + 1) });
}

const NODE_FRAME = /^\s+at (?:(.+) \()?((?:file:\/\/)?\/[^()]+:\d+:\d+|[A-Za-z]:\\[^()]+:\d+:\d+)\)?$/;

function nodeError(lines: readonly string[]): PrintedError | null {
  const last = lines.findLastIndex((line) => /^\s+at /.test(line));
  if (last < 0) return null;
  const first = lines.findLastIndex((line, index) => index < last && !/^\s+at /.test(line)) + 1;
  const frame = lines
    .slice(first, last + 1)
    .find((line) => NODE_FRAME.test(line) && !line.includes("node_modules"));
  const [, where, position] = NODE_FRAME.exec(frame ?? "") ?? [];
  const file = position?.replace(/^file:\/\//, "");
  const place = file === undefined ? null : `${file}${where === undefined ? "" : `, in ${where}`}`;
  const head = lines[first - 1] ?? "";
  return head.trim() === "" ? null : errorOf(head, { place, stack: lines.slice(first - 1, last + 1) });
}

function lastLine(lines: readonly string[]): PrintedError | null {
  const line = lines.findLast((one) => one.trim() !== "")?.trim();
  return line === undefined ? null : { name: null, message: line.slice(0, MESSAGE_CHARS), stack: null };
}

/** `ValueError: no rows` as a class and a message. */
function errorOf(head: string, args: { place: string | null; stack: readonly string[] }): PrintedError {
  const [, name = null, text = head] =
    /^(?:Uncaught )?([A-Za-z_][\w.]*?)(?:: (.*))?$/.exec(head.trim()) ?? [];
  const message = (text === "" ? head : text).slice(0, MESSAGE_CHARS);
  return {
    name: name?.split(".").at(-1) ?? null,
    message: args.place === null ? message : `${message} (${args.place})`,
    stack: args.stack.slice(-STACK_LINES).join("\n"),
  };
}
