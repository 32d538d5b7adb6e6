import type { Output } from "../output.ts";
import { fitLine } from "./draw.ts";

const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const CLEAR_BELOW = "\u001b[0J";

/** The foot of a terminal that is drawn again and again, below lines that stay. */
export interface Screen {
  /** Adds lines that stay, above the foot. */
  print(lines: readonly string[]): void;
  /** Replaces the foot. */
  foot(lines: readonly string[]): void;
  /** Removes the foot and gives the cursor back. */
  close(): void;
}

/** A screen on a terminal. Each change is one write, so that nothing flickers. */
export function openScreen(output: Output): Screen {
  let drawn: readonly string[] = [];
  const erase = () => (drawn.length === 0 ? "" : `\u001b[${drawn.length}A\r${CLEAR_BELOW}`);
  const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");
  output.write(HIDE_CURSOR);
  return {
    print(lines) {
      output.write(erase() + text(lines) + text(drawn));
    },
    foot(lines) {
      const fitted = lines.map((line) => fitLine(line, output.columns()));
      if (fitted.length === drawn.length && fitted.every((line, index) => line === drawn[index])) return;
      const before = erase();
      drawn = fitted;
      output.write(before + text(drawn));
    },
    close() {
      output.write(erase() + SHOW_CURSOR);
      drawn = [];
    },
  };
}
