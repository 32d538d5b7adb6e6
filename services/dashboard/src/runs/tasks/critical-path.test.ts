import fc from "fast-check";
import { expect, test } from "vitest";
import { criticalPathOf } from "./critical-path.ts";
import { callOf, momentMs } from "./task-run.fixture.ts";
import { treeOf } from "./task-tree.ts";

const pathOf = (tasks: ReturnType<typeof callOf>[], nowSeconds = 100) => {
  const { paths, busyMs } = criticalPathOf(treeOf(tasks), momentMs(nowSeconds));
  return { paths: [...paths].sort(), busySeconds: busyMs / 1_000 };
};

test("of parallel branches, the one that ended last is on the path, with the calls it waited for", () => {
  const found = pathOf([
    callOf("list", { from: 0, to: 1 }),
    callOf("fast", { from: 1, to: 3 }),
    callOf("slow", { from: 1, to: 9 }),
    callOf("join", { from: 9, to: 10 }),
  ]);
  expect(found).toEqual({ paths: ["join", "list", "slow"], busySeconds: 10 });
});

test("a call that waited for a slot waited for the call that released it", () => {
  const found = pathOf([
    callOf("m/0", { made: 0, from: 0, to: 4, order: 1 }),
    callOf("m/1", { made: 0, from: 0, to: 3, order: 2 }),
    callOf("m/2", { made: 0, from: 3, to: 8, order: 3 }),
  ]);
  expect(found.paths).toEqual(["m/1", "m/2"]);
});

test("inside a call on the path, the calls that it made go on the path by the same rule", () => {
  const found = pathOf([
    callOf("train", { from: 0, to: 10 }),
    callOf("train/split", { from: 0, to: 2 }),
    callOf("train/a", { from: 2, to: 4 }),
    callOf("train/b", { from: 2, to: 9 }),
    callOf("beside", { from: 0, to: 5 }),
    callOf("beside/x", { from: 0, to: 5 }),
  ]);
  expect(found.paths).toEqual(["train", "train/b", "train/split"]);
});

test("during a run, the call that has run longest ends the path, and reused results are not on it", () => {
  const found = pathOf(
    [
      callOf("kept", { from: 0, to: 0, reused: true, order: 0 }),
      callOf("load", { from: 0, to: 2, order: 1 }),
      callOf("old", { from: 2, to: null, order: 2 }),
      callOf("new", { from: 5, to: null, order: 3 }),
    ],
    8,
  );
  expect(found).toEqual({ paths: ["load", "old"], busySeconds: 8 });
});

test("a run without started calls has no path", () => {
  expect(pathOf([])).toEqual({ paths: [], busySeconds: 0 });
  expect(
    pathOf([{ ...callOf("a", { from: 0, to: null }), startedAt: null, state: "pending" }]).paths,
  ).toEqual([]);
});

test("calls on the path with the same parent never overlap, and cover at most the time from the first to the last", () => {
  const call = fc.record({ from: fc.nat(30), took: fc.nat(10) });
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 40 }), (calls) => {
      const tasks = calls.map(({ from, took }, order) =>
        callOf(`c${order}`, { from, to: from + took, order }),
      );
      const { paths } = criticalPathOf(treeOf(tasks), momentMs(100));
      const chain = tasks
        .filter((task) => paths.has(task.path))
        .toSorted((a, b) => String(a.startedAt).localeCompare(String(b.startedAt)) || a.order - b.order);
      for (const [index, one] of chain.entries()) {
        const next = chain[index + 1];
        if (next) expect(String(one.endedAt) <= String(next.startedAt)).toBe(true);
      }
      const last = Math.max(...calls.map(({ from, took }) => from + took));
      expect(chain.at(-1)?.endedAt).toBe(new Date(momentMs(last)).toISOString());
    }),
  );
});

test("different clocks, with calls that start in the future or end before they start, do not cause a loop", () => {
  const call = fc.record({ from: fc.nat(20), to: fc.option(fc.nat(20)) });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 20 }), fc.nat(20), (calls, now) => {
      const tasks = calls.map(({ from, to }, order) => callOf(`c${order}`, { from, to, order }));
      expect(pathOf(tasks, now).paths.length).toBeLessThanOrEqual(calls.length);
    }),
  );
});

test("ten thousand calls, one after another, take no quadratic time", () => {
  const tasks = Array.from({ length: 10_000 }, (_, n) => callOf(`c${n}`, { from: n, to: n + 1, order: n }));
  expect(pathOf(tasks, 20_000).paths.length).toBe(10_000);
});
