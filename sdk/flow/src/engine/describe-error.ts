import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import type { RunError } from "@towpath/contract";
import { flowTextChars } from "@towpath/contract/words";
import { CAUSES_MAX, errorChain } from "./error-chain.ts";

/** The folder this package runs from; nothing's when it is part of a bundle, whose folder is the user's. */
const IS_BUNDLED = !import.meta.url.endsWith("/engine/describe-error.ts");
const OWN_FOLDER = IS_BUNDLED ? "bundled:" : new URL("../", import.meta.url).href;
/** Where this package's frames point to in a bundle with source maps, and when installed. */
const OWN_PATHS = /(?:node_modules\/towpath|node_modules\/@towpath|sdk\/flow\/src|sdk\/contract\/src)\//;
const OWN_TESTS = /\.(?:test|fixture)\.ts\b/;

/** How frames that are none of the user's are told, for those who look at stacks in another thread. */
export const OWN_FRAMES = { folder: OWN_FOLDER, paths: OWN_PATHS.source, tests: OWN_TESTS.source } as const;

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

function ownStack(thrown: unknown): string {
  return thrown instanceof Error ? trimStack(textOf(() => thrown.stack, "(no stack)")) : printed(thrown);
}

/** The parts of an AggregateError, each with its own causes. */
function partsOf(thrown: unknown): string[] {
  if (!(thrown instanceof AggregateError)) return [];
  return thrown.errors
    .slice(0, CAUSES_MAX)
    .map((part) => `One of: ${errorChain(part).map(ownStack).join("\nCaused by: ")}`);
}

/** What was thrown and its causes, each with the parts it is made of. */
function stackOf(error: Error): string {
  return errorChain(error)
    .map((one) => [ownStack(one), ...partsOf(one)].join("\n"))
    .join("\nCaused by: ");
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
