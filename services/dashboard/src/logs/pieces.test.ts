import { printable } from "@towpath/contract";
import { expect, test } from "vitest";
import { pieces, withFinds } from "./pieces.ts";

test("Terminal colours, links and window titles are removed from a line", () => {
  expect(
    printable(
      "\u001b[31mred\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u0007 \u001b]0;title\u001b\\end",
    ),
  ).toBe("red link end");
});

test("Carriage returns, control characters and direction overrides cannot hide what a line says", () => {
  expect(printable("safe\rfake \u0007 \u202egnp.exe")).toBe("safe·fake · ·gnp.exe");
});

test("Tabs and any ordinary text stay as they are", () => {
  expect(printable("a\tb – ünï ✓ <img onerror=x>")).toBe("a\tb – ünï ✓ <img onerror=x>");
});

test("The colours of a line become classes of our palette, and its text is unchanged", () => {
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

test("Matches are marked across colours, also several and adjacent ones", () => {
  const found = (line: string, text: string) =>
    withFinds(pieces(line), text).map((piece) => (piece.isFind ? `<${piece.text}>` : piece.text));
  expect(found("Take \u001b[31mTA\u001b[0mke", "take")).toEqual(["<Take>", " ", "<TA>", "<ke>"]);
  expect(found("aaaa b", "aa")).toEqual(["<aaaa>", " b"]);
  expect(found("none (.*)", "(.*)")).toEqual(["none ", "<(.*)>"]);
  expect(found("plain", "")).toEqual(["plain"]);
});
