/** One line of a stack, and whether it is the reader's own code. */
export interface Frame {
  readonly text: string;
  readonly own: boolean;
}

/** An error's own part of a stack: what it says, and where it was thrown, the deepest frame first. */
export interface Stack {
  readonly head: string;
  readonly frames: readonly Frame[];
  /** The place among `frames` of the deepest of the reader's own code; -1: none is. */
  readonly deepest: number;
}

/** Code that nobody who reads a failed run has written: Node's, Python's, packages', ours as installed or from its sources. */
const FOREIGN =
  /node:|node_modules|\(native\)|<anonymous>|towpath:|\bsdk\/(?:flow|contract)\/src\/|site-packages|\/lib\/python\d|<frozen /;
const FRAME = /^\s*(?:at |File ")/;
const TRACEBACK = /^\s*File "/;
/** Where the part of another error begins. */
const PARTS = /\n(?=(?:Caused by|One of): )/;

function partOf(text: string): Stack {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const first = lines.findIndex((line) => FRAME.test(line));
  const cut = first === -1 ? lines.length : first;
  const isTraceback = TRACEBACK.test(lines[cut] ?? "");
  const found = lines.slice(cut).flatMap((line) => {
    const isFrame = FRAME.test(line);
    // Between the frames of a traceback stand lines of code, and behind them what was raised.
    return isTraceback && !isFrame ? [] : [{ text: line.trim(), own: isFrame && !FOREIGN.test(line) }];
  });
  const frames = isTraceback ? found.toReversed() : found;
  const head = lines
    .slice(0, cut)
    .join("\n")
    .replace(/^(?:Caused by|One of): /, "");
  return { head, frames, deepest: frames.findIndex((frame) => frame.own) };
}

/**
 * The part of a stack to look at: that of the innermost cause which was thrown by the reader's own code, else of the first
 * error. Its first frame of own code is the deepest. Tracebacks of Python are turned round, deepest first.
 */
export function framesOf(stack: string): Stack {
  const parts = stack.split(PARTS).map(partOf);
  const [first = partOf("")] = parts;
  return parts.findLast((part) => part.deepest >= 0) ?? first;
}

const PLACE = /^(?:at (?:async )?)?(.*?) ?\(?((?:file:\/\/)?[^()\s]+?:\d+(?::\d+)?)\)?$/;
const PYTHON_PLACE = /^File "([^"]+)", line (\d+)(?:, in (.+))?$/;

/** What a frame says: the function, and its file and line. Null where it says it otherwise. */
export function placeOf(frame: string): { readonly call: string; readonly place: string } | null {
  const python = PYTHON_PLACE.exec(frame);
  if (python) return { call: python[3] ?? "", place: `${python[1]}:${python[2]}` };
  const found = PLACE.exec(frame);
  return found ? { call: found[1] ?? "", place: (found[2] ?? "").replace("file://", "") } : null;
}
