import { expect, test } from "vitest";
import { callOf, momentMs } from "./task-run.fixture.ts";
import { treeOf } from "./task-tree.ts";
import { busySpans, dataSpansOf, groupsAround, type Row, rowsOf, spanOf } from "./waterfall-rows.ts";

const short = (rows: readonly Row[]) =>
  rows.map(
    (row) =>
      `${"  ".repeat(row.depth)}${row.kind === "call" ? row.task.path : `${row.name} ×${row.tasks.length}`}`,
  );
const mapped = Array.from({ length: 7 }, (_, n) =>
  callOf(`load/${n}`, { from: n, to: n + 1, order: 10 + n, state: n === 3 ? "failed" : "completed" }),
);

test("calls are below their parents, and many calls of one task share a row until it is opened", () => {
  const roots = treeOf([
    callOf("train/split", { from: 21, to: 22 }),
    callOf("train", { from: 20, to: 30 }),
    callOf("list", { from: 0, to: 1, order: 1 }),
    ...mapped,
    callOf("load/3/again", { from: 3, to: 4, order: 40 }),
  ]);
  const rows = rowsOf(roots, new Set());
  expect(short(rows)).toEqual(["list", "load ×7", "train", "  train/split"]);
  expect(rows[1]).toMatchObject({
    counts: [
      ["completed", 6],
      ["failed", 1],
    ],
    open: false,
  });
  const opened = short(rowsOf(roots, new Set(["//load"])));
  expect(opened.slice(1, 7)).toEqual([
    "load ×7",
    "  load/0",
    "  load/1",
    "  load/2",
    "  load/3",
    "    load/3/again",
  ]);
});

test("the groups around a call are the ones that hide it", () => {
  const roots = treeOf([
    callOf("list", { from: 0, to: 1 }),
    ...mapped,
    callOf("load/3/again", { from: 3, to: 4 }),
  ]);
  expect(groupsAround(roots, "load/3/again")).toEqual(["//load"]);
  expect(groupsAround(roots, "list")).toEqual([]);
  expect(groupsAround(roots, "nowhere")).toEqual([]);
});

test("the time of a group is the spans in which one of its calls ran", () => {
  const tasks = [
    callOf("m/0", { from: 0, to: 2 }),
    callOf("m/1", { from: 1, to: 3 }),
    callOf("m/2", { from: 8, to: null }),
    { ...callOf("m/3", { from: 0, to: null }), startedAt: null },
  ];
  const seconds = (spans: { fromMs: number; toMs: number }[]) =>
    spans.map(({ fromMs, toMs }) => [fromMs, toMs].map((ms) => (ms - momentMs(0)) / 1_000));
  expect(seconds(busySpans(tasks, { now: momentMs(9), gapMs: 1_000 }))).toEqual([
    [0, 3],
    [8, 9],
  ]);
  expect(seconds(busySpans(tasks, { now: momentMs(9), gapMs: 5_000 }))).toEqual([[0, 9]]);
  expect(seconds([spanOf(tasks, momentMs(9))])).toEqual([[0, 9]]);
});

test("ten thousand mapped calls are one row, and ten thousand and one when they are opened", () => {
  const roots = treeOf(
    Array.from({ length: 10_000 }, (_, n) => callOf(`load/${n}`, { from: n, to: n + 1, order: n })),
  );
  expect(rowsOf(roots, new Set()).length).toBe(1);
  expect(rowsOf(roots, new Set(["//load"])).length).toBe(10_001);
});

test("the time for data is drawn at its place, within the call", () => {
  const dataTime = {
    hashMs: 500,
    loadMs: 1_000,
    loadBytes: 20_000_000,
    saveMs: 1_200,
    saveBytes: 48_000_000,
  };
  const told = (call: Parameters<typeof dataSpansOf>[0]) =>
    dataSpansOf(call).map(({ kind, fromMs, toMs, text }) => [
      kind,
      (fromMs - momentMs(0)) / 1_000,
      (toMs - momentMs(0)) / 1_000,
      text,
    ]);
  expect(told({ ...callOf("load", { made: 0, from: 1, to: 10 }), dataTime })).toEqual([
    ["hash", 0, 0.5, "hashing arguments 500 ms"],
    ["load", 1, 2, "loading 1 s, 20 MB"],
    ["save", 8.8, 10, "saving 1.2 s, 48 MB"],
  ]);
  expect(told({ ...callOf("short", { from: 1, to: 2 }), dataTime })).toEqual([
    ["load", 1, 2, "loading 1 s, 20 MB"],
  ]);
  expect(told({ ...callOf("running", { from: 1, to: null }), dataTime })).toEqual([]);
  expect(told(callOf("plain", { from: 1, to: 2 }))).toEqual([]);
});
