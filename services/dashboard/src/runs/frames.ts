/** One line of a stack, and whether it is the reader's own code. */
export interface Frame {
  readonly text: string;
  readonly own: boolean;
}

/** Code that nobody who reads a failed run has written: Node's, packages', ours. */
const FOREIGN = /node:|node_modules|\(native\)|<anonymous>|towpath:|\/towpath\//;
const FRAME = /^\s*at /;

/** The lines of a stack. The first that is the reader's own code is the deepest, and the one to look at. */
export function framesOf(stack: string): { head: string; frames: readonly Frame[]; deepest: number } {
  const lines = stack.split("\n").filter((line) => line.trim() !== "");
  const first = lines.findIndex((line) => FRAME.test(line));
  const cut = first === -1 ? lines.length : first;
  const frames = lines
    .slice(cut)
    .map((text) => ({ text: text.trim(), own: FRAME.test(text) && !FOREIGN.test(text) }));
  return { head: lines.slice(0, cut).join("\n"), frames, deepest: frames.findIndex((frame) => frame.own) };
}
