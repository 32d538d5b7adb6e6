import { expect, test } from "vitest";
import { checkInTime } from "./check-parameters.ts";

const named = (pattern: string) => ({ type: "object", properties: { name: { type: "string", pattern } } });

test("a pattern that would take years does not hang the worker", () => {
  const parameters = { name: `${"a".repeat(60)}!` };
  expect(checkInTime({ schema: named("^(a+)+$"), parameters })).toEqual([
    {
      path: "parameters",
      message: expect.stringContaining("takes too long"),
      suggestion: expect.stringContaining("simplify"),
    },
  ]);
});

test("what takes no time is checked as ever, with a pattern and without", () => {
  expect(checkInTime({ schema: named("^a+$"), parameters: { name: "aa" } })).toEqual([]);
  expect(checkInTime({ schema: named("^a+$"), parameters: { name: "b" } })).toMatchObject([
    { path: "parameters.name" },
  ]);
  const plain = { type: "object", properties: { n: { type: "number" } } };
  expect(checkInTime({ schema: plain, parameters: { n: "x" } })).toMatchObject([{ path: "parameters.n" }]);
});
