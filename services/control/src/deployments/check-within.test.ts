import { Problem } from "@towpath/contract";
import { isCostly } from "@towpath/contract/bounded";
import { describe, expect, test } from "vitest";
import { checkWithin } from "./check-within.ts";

const evil = { type: "object", properties: { name: { type: "string", pattern: "^(a+)+$" } } };
const longest = `${"a".repeat(60)}!`;

/** A schema whose references double at every step: 2^40 looks at one value. */
function doubling(): { [key: string]: never } {
  const steps = Array.from({ length: 40 }, (_, step) => {
    const next = { $ref: `#/$defs/s${step + 1}` };
    return [`s${step}`, { allOf: [next, next] }];
  });
  const $defs = Object.fromEntries([...steps, ["s40", { type: "object" }]]);
  return JSON.parse(JSON.stringify({ $ref: "#/$defs/s0", $defs }));
}

function problemOf(act: () => unknown): Problem {
  try {
    act();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error("there was no problem");
}

describe("parameters are checked within a budget", () => {
  test("a pattern that would take years is given up, and its workspace waits before the next such check", () => {
    const budget = {};
    const first = problemOf(() =>
      checkWithin(budget, { workspaceId: "one", schema: evil, parameters: { name: longest } }),
    );
    expect(["invalid-parameters", "unavailable"]).toContain(first.code);
    const beganMs = performance.now();
    const second = problemOf(() =>
      checkWithin(budget, { workspaceId: "one", schema: evil, parameters: { name: "a" } }),
    );
    expect(second.code).toBe("unavailable");
    expect(performance.now() - beganMs).toBeLessThan(100);
  });

  test("another workspace, and a schema without such keywords, are not kept waiting", () => {
    const budget = {};
    problemOf(() => checkWithin(budget, { workspaceId: "one", schema: evil, parameters: { name: longest } }));
    expect(checkWithin(budget, { workspaceId: "two", schema: evil, parameters: { name: "aaa" } })).toEqual(
      [],
    );
    const plain = { type: "object", properties: { name: { type: "string" } } };
    expect(checkWithin(budget, { workspaceId: "one", schema: plain, parameters: { name: "b" } })).toEqual([]);
  });

  test("references that double at every step are given up too", () => {
    const run = () => checkWithin({}, { workspaceId: "one", schema: doubling(), parameters: {} });
    expect(["invalid-parameters", "unavailable"]).toContain(problemOf(run).code);
  });

  test("faults are told as without a budget", () => {
    const faults = checkWithin({}, { workspaceId: "one", schema: evil, parameters: { name: "b" } });
    expect(faults[0]?.path).toBe("parameters.name");
  });
});

test("what can take long is known by its keywords, wherever they stand", () => {
  expect(isCostly({ type: "object", properties: { a: { type: "integer" } }, required: ["a"] })).toBe(false);
  expect(isCostly({ anyOf: [{ properties: { a: { format: "email" } } }] })).toBe(true);
  expect(isCostly({ properties: { a: { uniqueItems: true } } })).toBe(true);
  expect(isCostly({ properties: { a: { patternProperties: { b: true } } } })).toBe(true);
});
