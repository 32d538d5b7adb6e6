/** One frame of a stack trace. */
export interface Frame {
  readonly text: string;
  /** The line of code, if the stack trace shows it. */
  readonly code: string | null;
  /** Whether it is in the reader's own code. */
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
/** The start of another error in the stack trace of JavaScript. */
const PARTS = /\n(?=(?:Caused by|One of): )/;
/** The line between two errors in Python, where the first is the cause of the second. */
const CAUSE = "The above exception was the direct cause of the following exception:";
/** The line between two errors in Python, where the second was raised while the first was handled. */
const DURING = "During handling of the above exception, another exception occurred:";
/** The margin of the errors in a group, and the line before each of them. See PEP 654. */
const MARGIN = /^ *(?:\| ?|\+ (?=Exception Group))/;
const MEMBER = /^ *\+[-+]+ (?:\d+|\.\.\.) -+$/;
const GROUP_END = /^ *\+-+$/;

function partOf(text: string): Stack {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const first = lines.findIndex((line) => FRAME.test(line));
  if (first !== -1 && TRACEBACK.test(lines[first] ?? "")) return tracebackOf(lines);
  const cut = first === -1 ? lines.length : first;
  const frames = lines.slice(cut).map((line) => frameOf(line, null));
  const head = lines
    .slice(0, cut)
    .join("\n")
    .replace(/^(?:Caused by|One of): /, "");
  return stackOf(head, frames);
}

/** A traceback of Python: its deepest frame and its error come last, and lines of code stand between its frames. */
function tracebackOf(lines: readonly string[]): Stack {
  const last = lines.findLastIndex((line) => TRACEBACK.test(line));
  const end = lines.findIndex((line, index) => index > last && !line.startsWith(" "));
  const frames = lines.flatMap((line, index) => {
    if (!TRACEBACK.test(line)) return [];
    const next = lines[index + 1] ?? "";
    return [frameOf(line, next.startsWith("    ") && !TRACEBACK.test(next) ? next.trim() : null)];
  });
  return stackOf(end === -1 ? "" : lines.slice(end).join("\n"), frames.toReversed());
}

function frameOf(line: string, code: string | null): Frame {
  return { text: line.trim(), code, own: FRAME.test(line) && !FOREIGN.test(line) };
}

function stackOf(head: string, frames: readonly Frame[]): Stack {
  return { head, frames, deepest: frames.findIndex(({ own }) => own) };
}

/** How an error of a stack trace belongs to the one that was thrown. */
export type Relation = "thrown" | "cause" | "handled" | "member";

/** One error of a stack trace. */
export interface StackPart extends Stack {
  readonly relation: Relation;
}

/** The errors of a stack trace, the one to look at first, first. */
function partsOf(stack: string): StackPart[] {
  if (!stack.split("\n").some((line) => TRACEBACK.test(line.replace(MARGIN, ""))))
    return stack.split(PARTS).map(scriptPartOf).reverse();
  const members: string[][] = [[]];
  for (const line of stack.split("\n")) {
    if (MEMBER.test(line)) members.push([]);
    else if (!GROUP_END.test(line)) members.at(-1)?.push(line.replace(MARGIN, ""));
  }
  // The first error of a group comes before the group itself.
  const [whole = [], ...inside] = members;
  return [
    ...inside.flatMap((lines) => chainOf(lines.join("\n"), "member")),
    ...chainOf(whole.join("\n"), "thrown"),
  ];
}

function scriptPartOf(text: string): StackPart {
  const relation = text.startsWith("Caused by: ")
    ? "cause"
    : text.startsWith("One of: ")
      ? "member"
      : "thrown";
  return { ...partOf(text), relation };
}

/** The errors of one chain of Python, the innermost cause first. What was only being handled comes last. */
function chainOf(text: string, raisedAs: "thrown" | "member"): StackPart[] {
  const chains = text.split(DURING).map((chain) => chain.split(CAUSE));
  return chains
    .map((chain, at) => {
      const own = at === chains.length - 1 ? raisedAs : "handled";
      return chain.map((part, index): StackPart => {
        return { ...partOf(part), relation: index === chain.length - 1 ? own : "cause" };
      });
    })
    .reverse()
    .flat();
}

/** The index of the error to look at. */
function shownOf(parts: readonly StackPart[]): number {
  const own = parts.findIndex(({ deepest }) => deepest >= 0);
  return own >= 0 ? own : parts.length - 1;
}

/**
 * The error of a stack trace to look at: the innermost cause with a frame in the reader's own code, else the first error. Of a
 * group, the first of its errors.
 * @param stack as JavaScript or Python prints it.
 */
export function framesOf(stack: string): Stack {
  const parts = partsOf(stack);
  return parts[shownOf(parts)] ?? partOf("");
}

/** The other errors of a stack trace, in its order: causes, errors that were being handled, and the members of a group. */
export function othersOf(stack: string): StackPart[] {
  const parts = partsOf(stack);
  const shown = shownOf(parts);
  return parts.filter(({ head }, index) => index !== shown && head !== "");
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
