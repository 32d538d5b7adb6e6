import { expect, test } from "vitest";
import { forTerminal, styles } from "../output.ts";
import { markdownLine } from "./draw.ts";

test.each([
  ["**Hello, Ada!**", "Hello, Ada!"],
  ["# A *title* of `code`", "A *title* of code"],
  ["- one __two__", "• one two"],
  ["see [the docs](https://x.test/a)", "see the docs (https://x.test/a)"],
  ["2 ** 3 ** 4 and snake_case", "2 ** 3 ** 4 and snake_case"],
])("The Markdown %s reads as %s", (text, plain) => expect(markdownLine(text, styles(false))).toBe(plain));

test("Bold Markdown is bold in colour", () =>
  expect(forTerminal(markdownLine("a **b**", styles(true)))).toBe("a \u001b[1mb\u001b[22m"));
