import type { Assignment } from "@towpath/contract";
import { expect, test } from "vitest";
import { ANSWER_BYTES_MAX, assignmentOf, fitting } from "./assignment.ts";

function assignment(bytes: number): Assignment {
  const row = {
    attemptId: "a",
    epoch: 1,
    nonce: "n",
    workerId: "w",
    ordinal: 1,
    runId: "r",
    deployment: "d",
    version: 1,
    parameters: {},
    scheduledAt: new Date(0),
    endsInMs: null,
    trigger: { kind: "person", name: "p" } as const,
    spec: "x".repeat(bytes),
  };
  return assignmentOf(row, 1);
}

test("an answer holds assignments up to its limit, at least one, and in their order", () => {
  const third = ANSWER_BYTES_MAX / 3;
  const many = Array.from({ length: 10 }, () => assignment(third));
  expect(fitting(many)).toEqual(many.slice(0, 3));
  expect(fitting([assignment(2 * ANSWER_BYTES_MAX)])).toHaveLength(1);
  expect(fitting([])).toEqual([]);
  expect(fitting(many.slice(0, 2))).toHaveLength(2);
});
