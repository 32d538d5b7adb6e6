import { AnswerDropped } from "@towpath/contract/failpoint";
import { afterEach, expect, test } from "vitest";
import { parseConfig } from "./config.ts";
import { armFailpoints, failpoint } from "./failpoint.ts";

afterEach(() => armFailpoints([]));

test("a control plane without the variable has no failpoint", () => {
  const { failpoints } = parseConfig({});
  expect(failpoints).toEqual([]);
  armFailpoints(failpoints);
  failpoint("claim");
});

test("a configured failpoint strikes", () => {
  armFailpoints(parseConfig({ TOWPATH_FAILPOINTS: "acknowledge:drop:2" }).failpoints);
  failpoint("acknowledge");
  expect(() => failpoint("acknowledge")).toThrow(AnswerDropped);
});

test.each(["launch:kill:1", "claim:explode:1"])("%s is a fault of the configuration", (text) => {
  expect(() => parseConfig({ TOWPATH_FAILPOINTS: text })).toThrow(/TOWPATH_FAILPOINTS.*name:action:nth/);
});
