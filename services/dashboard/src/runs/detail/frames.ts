/** One frame of a stack trace, and whether it is in the reader's own code. */
export interface Frame {
  readonly text: string;
  readonly own: boolean;
}

/** One error of a stack trace: its message and its frames, the deepest first. */
export interface Stack {
  readonly head: string;
  readonly frames: readonly Frame[];
  /** The index of the deepest frame in the reader's own code. -1: none. */
  readonly deepest: number;
}

/** Code that the reader did not write: Node, Python, packages, Towpath. */
const FOREIGN =
  /node:|node_modules|\(native\)|<anonymous>|towpath:|\bsdk\/(?:flow|contract)\/src\/|site-packages|\/lib\/python\d|<frozen /;
const FRAME = /^\s*(?:at |File ")/;
const TRACEBACK = /^\s*File "/;
/** The start of another error in the stack trace. */
const PARTS = /\n(?=(?:Caused by|One of): )/;

function partOf(text: string): Stack {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const first = lines.findIndex((line) => FRAME.test(line));
  const cut = first === -1 ? lines.length : first;
  const isTraceback = TRACEBACK.test(lines[cut] ?? "");
  const found = lines.slice(cut).flatMap((line) => {
    const isFrame = FRAME.test(line);
    // A traceback has lines of code between its frames, and the error after them.
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
 * The error of a stack trace to look at: the innermost cause with a frame in the reader's own code, else the first
 * error. The frames of Python tracebacks are reversed, so the deepest is first.
 */
export function framesOf(stack: string): Stack {
  const parts = stack.split(PARTS).map(partOf);
  const [first = partOf("")] = parts;
  return parts.findLast((part) => part.deepest >= 0) ?? first;
}

const PLACE = /^(?:at (?:async )?)?(.*?) ?\(?((?:file:\/\/)?[^()\s]+?:\d+(?::\d+)?)\)?$/;
const PYTHON_PLACE = /^File "([^"]+)", line (\d+)(?:, in (.+))?$/;

/** The function, file and line of a frame. Null if the frame has another form. */
export function placeOf(frame: string): { readonly call: string; readonly place: string } | null {
  const python = PYTHON_PLACE.exec(frame);
  if (python) return { call: python[3] ?? "", place: `${python[1]}:${python[2]}` };
  const found = PLACE.exec(frame);
  return found ? { call: found[1] ?? "", place: (found[2] ?? "").replace("file://", "") } : null;
}
