import { expect, test } from "vitest";
import { pieces, printable } from "./printable.ts";

test("Colours, links and window titles of terminals disappear from a line", () => {
  expect(
    printable(
      "\u001b[31mred\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u0007 \u001b]0;title\u001b\\end",
    ),
  ).toBe("red link end");
});

test("Carriage returns, bells and direction overrides cannot hide what a line says", () => {
  expect(printable("safe\rfake \u0007 \u202egnp.exe")).toBe("safe·fake · ·gnp.exe");
});

test("Tabs and any ordinary text stay as they are", () => {
  expect(printable("a\tb – ünï ✓ <img onerror=x>")).toBe("a\tb – ünï ✓ <img onerror=x>");
});

test("Colours of a line become looks of ours, and what it says stays the same", () => {
  const line =
    "a \u001b[31;1mred\u001b[0m \u001b[38;5;196mmany\u001b[39m \u001b]8;;http://x\u0007link\u001b]8;;\u0007";
  expect(pieces(line)).toEqual([
    { text: "a ", look: "" },
    { text: "red", look: "text-bad font-semibold" },
    { text: " ", look: "" },
    { text: "many", look: "" },
    { text: " link", look: "" },
  ]);
  expect(
    pieces(line)
      .map((piece) => piece.text)
      .join(""),
  ).toBe(printable(line));
});
