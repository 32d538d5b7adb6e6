import { diffTasks } from "@towpath/client/run-difference";
import { expect, test } from "vitest";
import type { ShownCalls } from "../list/search.ts";
import { callOf } from "../tasks/task-run.fixture.ts";
import { compareRows, isNotable, rowsShown } from "./compare-rows.ts";

const rows = compareRows(
  diffTasks(
    [
      callOf("same", { from: 0, to: 1 }),
      callOf("slow", { from: 1, to: 2 }),
      callOf("slowest", { from: 1, to: 2 }),
      callOf("quick", { from: 2, to: 4 }),
      callOf("gone", { from: 4, to: 5 }),
      callOf("kept", { from: 5, to: 6 }),
    ],
    [
      callOf("same", { from: 0, to: 1.02 }),
      callOf("slow", { from: 1, to: 3, state: "failed" }),
      callOf("slowest", { from: 1, to: 9 }),
      callOf("quick", { from: 3, to: 4 }),
      callOf("kept", { from: 5, to: 5, reused: true }),
      callOf("new", { from: 6, to: 7 }),
    ],
  ),
);
const labels = (shown: ShownCalls) => rowsShown(rows, shown).map((row) => row.difference.label);

test("calls are filtered by difference, by slowness, and by missing in one run", () => {
  expect(labels("all")).toEqual(["same", "slow", "slowest", "quick", "gone", "kept", "new"]);
  expect(labels("differing")).toEqual(["slow", "gone", "new"]);
  expect(labels("slower")).toEqual(["slowest", "slow"]);
  expect(labels("one-sided")).toEqual(["gone", "new"]);
});

test("a difference of a few milliseconds is chance, and a reused result has no duration", () => {
  const notable = rows.filter(isNotable).map((row) => [row.difference.label, row.deltaMs]);
  expect(notable).toEqual([
    ["slow", 1_000],
    ["slowest", 7_000],
    ["quick", -1_000],
  ]);
  expect(rows.find((row) => row.difference.label === "kept")?.deltaMs).toBeNull();
});
