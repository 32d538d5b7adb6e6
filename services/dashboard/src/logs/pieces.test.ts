import { printable } from "@towpath/contract";
import { expect, test } from "vitest";
import { pieces, withFinds } from "./pieces.ts";

test("Colours, links and window titles of terminals disappear from a line", () => {
  expect(
    printable(
      "\u001b[31mred\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u0007 \u001b]0;title\u001b\\end",
    ),
  ).toBe("red link end");
});

test("Carriage returns, bell characters and direction overrides cannot hide what a line says", () => {
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

test("Finds are marked across colours, however often and however close they are", () => {
  const found = (line: string, text: string) =>
    withFinds(pieces(line), text).map((piece) => (piece.isFind ? `<${piece.text}>` : piece.text));
  expect(found("Take \u001b[31mTA\u001b[0mke", "take")).toEqual(["<Take>", " ", "<TA>", "<ke>"]);
  expect(found("aaaa b", "aa")).toEqual(["<aaaa>", " b"]);
  expect(found("none (.*)", "(.*)")).toEqual(["none ", "<(.*)>"]);
  expect(found("plain", "")).toEqual(["plain"]);
});
