import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import type { RunError } from "@towpath/contract";
import { flowTextChars } from "@towpath/contract/words";

/** The most causes to follow, and the most parts of an AggregateError to report. */
export const CAUSES_MAX = 5;

function causeOf(error: unknown): unknown {
  try {
    return error instanceof Error ? error.cause : undefined;
  } catch {
    return undefined;
  }
}

/** The thrown value, its cause, the cause of that, and so on. */
export function errorChain(thrown: unknown): readonly unknown[] {
  const chain: unknown[] = [thrown];
  for (
    let cause = causeOf(thrown);
    cause !== undefined && chain.length <= CAUSES_MAX;
    cause = causeOf(cause)
  ) {
    if (chain.includes(cause)) break;
    chain.push(cause);
  }
  return chain;
}

/** The folder of this package. In a bundle there is none: the bundle's folder is the user's. */
const IS_BUNDLED = !import.meta.url.endsWith("/engine/describe-error.ts");
const OWN_FOLDER = IS_BUNDLED ? "bundled:" : new URL("../", import.meta.url).href;
/** Paths of this package in a bundle with source maps, and when it is installed. */
const OWN_PATHS =
  /(?:node_modules\/towpath|node_modules\/@towpath|sdk\/flow\/src|sdk\/contract\/src|worker\/src\/launch)\//;
const OWN_TESTS = /\.(?:test|fixture)\.ts\b/;

/** Patterns of this package's own frames, for the watchdog's thread. */
export const OWN_FRAMES = { folder: OWN_FOLDER, paths: OWN_PATHS.source, tests: OWN_TESTS.source } as const;

function isForeign(frame: string): boolean {
  if (/\(?node:/.test(frame)) return false;
  if (OWN_TESTS.test(frame)) return true;
  return !frame.includes(OWN_FOLDER) && !OWN_PATHS.test(frame);
}

function isFrame(line: string): boolean {
  return /^\s+at /.test(line);
}

/** A frame with its file relative to the current folder. On a worker, this is the folder of the code. */
function fromHere(frame: string): string {
  const here = process.cwd();
  return frame.replace(`${pathToFileURL(here).href}/`, "").replace(`${here}/`, "");
}

/** Keeps only the user's frames, with files relative to the current folder. If there are none, keeps all. */
export function trimStack(stack: string): string {
  const lines = stack.split("\n");
  const kept = lines.filter((line) => !isFrame(line) || isForeign(line));
  const shown = kept.some(isFrame) ? kept : lines;
  return shown.map((line) => (isFrame(line) ? fromHere(line) : line)).join("\n");
}

const MATCHING = /^\s+\.\.\. \d+ lines matching cause stack trace \.\.\.$/;

/** Trims the stacks in text that Node's `inspect` has written, as `trimStack` does. The end of a stack may open a brace. */
export function trimInspected(text: string): string {
  const kept: string[] = [];
  for (const line of text.split("\n")) {
    if (MATCHING.test(line)) continue;
    if (!isFrame(line)) kept.push(line);
    else if (isForeign(line)) kept.push(fromHere(line));
    else if (line.endsWith(" {")) kept.push(`${kept.pop() ?? ""} {`);
  }
  return kept.join("\n");
}

/** The error name for a thrown value that is not an Error. */
const THROWN = "NonError";

function textOf(read: () => unknown, fallback: string): string {
  try {
    const found = read();
    return typeof found === "string" && found !== "" ? found : fallback;
  } catch {
    return fallback;
  }
}

/** Cuts at the limit of the run protocol. The worker then redacts secrets and cuts to what may leave. */
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

/** The stack of an error with its causes and parts. */
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

/** Describes any thrown value within the limits of the run protocol. */
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
