import { expect, test } from "vitest";
import { decisionFieldOf } from "./waits.ts";

const boolean = { type: "boolean" };

test.each([
  ["a boolean", boolean, ""],
  ["an object with one boolean", { properties: { note: { type: "string" }, approve: boolean } }, "approve"],
  ["an object with two", { properties: { a: boolean, b: boolean } }, null],
  ["an object with none", { properties: { note: { type: "string" } } }, null],
  ["another value", { type: "string" }, null],
  ["a schema without a form", { properties: null }, null],
] as const)("%s is decided by %j", (_, schema, expected) => {
  expect(decisionFieldOf(schema)).toBe(expected);
});
