import { expect, test } from "vitest";
import { answerText } from "./answer-text.ts";

test("An answer is shown in words", () => {
  expect([true, false].map(answerText)).toEqual(["Approved", "Rejected"]);
  expect(answerText({ approve: true, note: "as agreed", n: 3 })).toBe(
    'approve: Approved, note: "as agreed", n: 3',
  );
  expect([null, "as agreed", [true]].map(answerText)).toEqual(["null", '"as agreed"', "[true]"]);
  expect(answerText({ a: { b: true } })).toBe('{"a":{"b":true}}');
});
