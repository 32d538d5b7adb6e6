import { expect, test } from "vitest";
import { AnswerDropped, declareFailpoints } from "./failpoint.ts";

const places = declareFailpoints(["claim", "lose"]);

test("a place does nothing unless it is armed", () => {
  const { arm, pass } = declareFailpoints(["claim"]);
  pass("claim");
  arm([{ name: "claim", action: "drop", nth: 1 }]);
  expect(() => pass("claim")).toThrow(AnswerDropped);
  arm([{ name: "claim", action: "drop", nth: 1 }]);
  arm([]);
  pass("claim");
});

test("an armed place strikes at the passage that was asked for, once, and no other place does", () => {
  const { arm, pass } = declareFailpoints(["claim", "lose"]);
  arm([{ name: "lose", action: "drop", nth: 2 }]);
  pass("claim");
  pass("claim");
  pass("lose");
  expect(() => pass("lose")).toThrow(AnswerDropped);
  pass("lose");
});

test("places are read with their actions; the first passage is meant when none is named", () => {
  expect(places.parse("claim:kill:3, lose:pause")).toEqual([
    { name: "claim", action: "kill", nth: 3 },
    { name: "lose", action: "pause", nth: 1 },
  ]);
});

test.each(["nowhere:kill:1", "claim:explode:1", "claim:kill:0", "claim:kill:1:2", "claim:kill:x", ","])(
  "%s is no failpoint",
  (text) => {
    expect(places.parse(text)).toBeNull();
  },
);
