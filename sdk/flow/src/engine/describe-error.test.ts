import { inspect } from "node:util";
import { RunError } from "@towpath/contract";
import { flowTextChars } from "@towpath/contract/words";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Unhandled } from "../problem.ts";
import { describeError, trimInspected, trimStack } from "./describe-error.ts";

test("whatever was thrown, what is said of it is fit for the wire", () => {
  fc.assert(
    fc.property(fc.anything(), (thrown) => {
      expect(RunError.parse(describeError(thrown))).toEqual(describeError(thrown));
    }),
  );
});

describe("an error", () => {
  test("is described with its causes and parts, within the limits", () => {
    const error = new Error("outer", { cause: new TypeError("inner", { cause: "deepest" }) });
    expect(describeError(error).stack).toMatch(
      /Error: outer[\s\S]*Caused by: TypeError: inner[\s\S]*Caused by: deepest/,
    );
    const many = new AggregateError([new Error("one"), "two"], "both");
    expect(describeError(many).stack).toMatch(/One of: Error: one[\s\S]*One of: two/);
    const nested = new Error("whole", { cause: many });
    expect(describeError(nested).stack).toMatch(/Caused by: AggregateError: both[\s\S]*One of: Error: one/);
    const circle = new Error("circle");
    circle.cause = new Error("back", { cause: circle });
    expect(describeError(circle).stack?.match(/Caused by/g)).toHaveLength(1);
    const long = describeError(new Error("x".repeat(flowTextChars * 2)));
    expect(long.message).toHaveLength(flowTextChars);
  });

  test("whose properties throw is described too", () => {
    const hostile = new Error("x");
    for (const field of ["message", "stack", "name"])
      Object.defineProperty(hostile, field, {
        get: () => {
          throw new Error("no");
        },
      });
    expect(describeError(hostile)).toMatchObject({ name: "Error", message: "(no message)" });
  });
});

test("a stack keeps the user's frames, or all of them when none is the user's", () => {
  const frames = ["Error: x", "    at mine (/flows/a.ts:1:1)", "    at node:internal/x:1:1"];
  expect(trimStack(frames.join("\n"))).toBe(frames.slice(0, 2).join("\n"));
  const none = ["Error: x", "    at node:internal/x:1:1"].join("\n");
  expect(trimStack(none)).toBe(none);
  const ours = [
    "Error: x",
    "    at runTask (/p/node_modules/towpath/dist/index.js:1:1)",
    "    at /flows/a.ts:2:2",
  ];
  expect(trimStack(ours.join("\n"))).toBe(["Error: x", "    at /flows/a.ts:2:2"].join("\n"));
});

test("an unhandled rejection begins with the frame where its cause was made", () => {
  const cause = new Error("nobody awaits me");
  cause.stack = "Error: nobody awaits me\n    at load (/flows/a.ts:3:7)\n    at node:internal/x:1:1";
  const { stack = "" } = describeError(new Unhandled("rejection", cause));
  expect(stack.split("\n").slice(0, 2)).toEqual([
    "Unhandled: A rejected promise that nothing in the flow handled: Error: nobody awaits me",
    "    at load (/flows/a.ts:3:7)",
  ]);
});

test("text of inspect keeps the user's frames alone, relative to the code, and its braces", () => {
  const frames = [
    `    at load (${process.cwd()}/flows/a.ts:3:7)`,
    "    at runTask (/p/node_modules/towpath/dist/index.js:1:1)",
  ];
  const inner = new TypeError("inner");
  inner.stack = ["TypeError: inner", ...frames].join("\n");
  const outer = new Error("outer", { cause: inner });
  outer.stack = ["Error: outer", ...frames].join("\n");
  expect(trimInspected(inspect({ error: outer })).split("\n")).toEqual([
    "{",
    "  error: Error: outer",
    "      at load (flows/a.ts:3:7) {",
    "    [cause]: TypeError: inner",
    "        at load (flows/a.ts:3:7)",
    "  }",
    "}",
  ]);
});
