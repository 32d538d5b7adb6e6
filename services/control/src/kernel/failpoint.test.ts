import { afterEach, expect, test } from "vitest";
import { parseConfig } from "./config.ts";
import { AnswerDropped, armFailpoints, failpoint, parseFailpoints } from "./failpoint.ts";

afterEach(() => armFailpoints([]));

test("a place does nothing unless it is armed", () => {
  failpoint("claim");
  armFailpoints(parseConfig({}).failpoints);
  failpoint("claim");
});

test("an armed place strikes at the passage that was asked for, once, and no other place does", () => {
  armFailpoints(parseConfig({ TOWPATH_FAILPOINTS: "acknowledge:drop:2" }).failpoints);
  failpoint("claim");
  failpoint("acknowledge");
  expect(() => failpoint("acknowledge")).toThrow(AnswerDropped);
  failpoint("acknowledge");
});

test("places are read with their actions; the first passage is meant when none is named", () => {
  expect(parseFailpoints("claim:kill:3, lose:pause")).toEqual([
    { name: "claim", action: "kill", nth: 3 },
    { name: "lose", action: "pause", nth: 1 },
  ]);
});

test.each(["nowhere:kill:1", "claim:explode:1", "claim:kill:0", "claim:kill:1:2", "claim:kill:x", ","])(
  "%s is no failpoint, and the configuration says so",
  (text) => {
    expect(parseFailpoints(text)).toBeNull();
    expect(() => parseConfig({ TOWPATH_FAILPOINTS: text })).toThrow(/TOWPATH_FAILPOINTS.*name:action:nth/);
  },
);
