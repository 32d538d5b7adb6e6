import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import type { RunError } from "@towpath/contract";
import { flowTextChars } from "@towpath/contract/words";

/** How many causes are followed. */
const CAUSES_MAX = 5;

/** The folder this package runs from, when it is not part of a bundle. */
const OWN_FOLDER = new URL("../", import.meta.url).href;
/** Where this package's frames point to in a bundle with source maps, and when installed. */
const OWN_PATHS = /(?:node_modules\/towpath|node_modules\/@towpath|sdk\/flow\/src|sdk\/contract\/src)\//;
const OWN_TESTS = /\.(?:test|fixture)\.ts\b/;

function isForeign(frame: string): boolean {
  if (/\(?node:/.test(frame)) return false;
  if (OWN_TESTS.test(frame)) return true;
  return !frame.includes(OWN_FOLDER) && !OWN_PATHS.test(frame);
}

function isFrame(line: string): boolean {
  return /^\s+at /.test(line);
}

/** A frame with its file as seen from the folder the flow runs in: in a worker, that is the code's own folder. */
function fromHere(frame: string): string {
  const here = process.cwd();
  return frame.replace(`${pathToFileURL(here).href}/`, "").replace(`${here}/`, "");
}

/** Leaves the user's own frames in a stack, files relative to the current folder; all frames if none is the user's. */
export function trimStack(stack: string): string {
  const lines = stack.split("\n");
  const kept = lines.filter((line) => !isFrame(line) || isForeign(line));
  const shown = kept.some(isFrame) ? kept : lines;
  return shown.map((line) => (isFrame(line) ? fromHere(line) : line)).join("\n");
}

/** What throwing a value that is no Error is called in a run's error. */
const THROWN = "NonError";

function textOf(read: () => unknown, fallback: string): string {
  try {
    const found = read();
    return typeof found === "string" && found !== "" ? found : fallback;
  } catch {
    return fallback;
  }
}

/** Where the run protocol says to cut: the worker takes secrets out of what is left, and cuts it to what may leave. */
function cut(text: string): string {
  return text.slice(0, flowTextChars);
}

function stackOf(error: Error): string {
  const own = trimStack(textOf(() => error.stack, "(no stack)"));
  const parts = [own];
  let cause: unknown = error.cause;
  for (let depth = 0; depth < CAUSES_MAX && cause !== undefined; depth++) {
    parts.push(
      `Caused by: ${cause instanceof Error ? trimStack(textOf(() => (cause as Error).stack, "")) : printed(cause)}`,
    );
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  if (error instanceof AggregateError)
    for (const inner of error.errors.slice(0, CAUSES_MAX))
      parts.push(
        `One of: ${inner instanceof Error ? trimStack(textOf(() => inner.stack, "")) : printed(inner)}`,
      );
  return parts.join("\n");
}

function printed(value: unknown): string {
  return textOf(
    () => (typeof value === "string" ? value : inspect(value, { depth: 2, maxStringLength: null })),
    "a value that cannot be shown",
  );
}

/** Says what was thrown, whatever it was, within the limits of the run protocol. */
export function describeError(thrown: unknown): RunError {
  if (!(thrown instanceof Error)) {
    const message = `The flow threw ${typeof thrown === "string" ? "the text " : ""}${printed(thrown)}, not an Error.`;
    return { name: THROWN, message: cut(message) };
  }
  return {
    name: cut(textOf(() => thrown.name, "Error")),
    message: cut(textOf(() => thrown.message, "(no message)")),
    stack: cut(stackOf(thrown)),
  };
}
