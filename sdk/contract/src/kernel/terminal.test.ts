import fc from "fast-check";
import { expect, test } from "vitest";
import { shellWord, terminalJson, terminalText } from "./terminal.ts";

/** What terminals obey, or what turns the direction of the text around it. */
const OBEYED = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

test("no text from elsewhere reaches a terminal with a character that it obeys", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(terminalText(text).replaceAll(/[\n\t]/g, "")).not.toMatch(OBEYED);
      expect(terminalJson({ [text]: text })).not.toMatch(OBEYED);
      expect(JSON.parse(terminalJson({ [text]: text }))).toEqual(
        JSON.parse(JSON.stringify({ [text]: text })),
      );
    }),
  );
});

test.each([
  ["\u001b]0;title\u0007", "·]0;title·"],
  ["\u001b]52;c;ZXZpbA==\u001b\\", "·]52;c;ZXZpbA==·\\"],
  ["a\u001b[2Jb\u009b2Jc", "a·[2Jb·2Jc"],
  ["one\ntwo\tthree", "one\ntwo\tthree"],
  ["\u202egnp.exe", "·gnp.exe"],
])("%j reads %j", (text, shown) => expect(terminalText(text)).toBe(shown));

test.each([
  ["churn@prod", "churn@prod"],
  ["local/urgent", "local/urgent"],
  ["night shift", "'night shift'"],
  ["Ada's", "'Ada'\\''s'"],
  ["$HOME", "'$HOME'"],
])("the word %s of a command line is written as %s", (word, written) => {
  expect(shellWord(word)).toBe(written);
});
