import { escapeSequence, fitLine, type Output } from "../output.ts";

const HIDE_CURSOR = escapeSequence("?25l");
const SHOW_CURSOR = escapeSequence("?25h");
const CLEAR_BELOW = escapeSequence("0J");
const FIRST_COLUMN = escapeSequence("1G");

/** A footer on a terminal that is redrawn below permanent lines. */
export interface Screen {
  /** Adds permanent lines above the footer. */
  print(lines: readonly string[]): void;
  /** Replaces the footer. */
  foot(lines: readonly string[]): void;
  /** Removes the footer and shows the cursor again. */
  close(): void;
}

/** Opens a screen on a terminal. Each change is one write, which avoids flicker. */
export function openScreen(output: Output): Screen {
  let drawn: readonly string[] = [];
  const erase = () =>
    drawn.length === 0 ? "" : escapeSequence(`${drawn.length}A`) + FIRST_COLUMN + CLEAR_BELOW;
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
