import type { TaskRun } from "@towpath/contract";
import { expect, test } from "vitest";
import { styles } from "../output.ts";
import { groupLine, likeness, sourcesText, sparing, together } from "./task-groups.ts";

const style = styles(false);
const one = (path: string, ms: number, over: Partial<TaskRun> = {}): TaskRun => ({
  attemptId: "",
  path,
  name: path.split("/")[0] ?? "",
  state: "completed",
  tries: 1,
  tryList: [],
  order: 0,
  reused: false,
  codeVersion: null,
  inputHash: null,
  error: null,
  result: null,
  createdAt: "",
  startedAt: new Date(0).toISOString(),
  endedAt: new Date(ms).toISOString(),
  ...over,
});

test("many similar calls of a task share one line; few calls and failed calls have a line each", () => {
  const error = { name: "Error", message: "no" };
  const tasks = [
    one("load", 5),
    ...[300, 100, 450, 200].map((ms, index) => one(`row/${index}`, ms)),
    one("row/4", 50, { state: "failed", error }),
    one("row/5", 50, { state: "failed", error }),
    one("save/0", 5),
    one("save/1", 5),
  ];
  const groups = together(tasks, likeness);
  expect(groups.map((group) => group.map(({ path }) => path).join(" "))).toEqual([
    "load",
    "row/0 row/1 row/2 row/3",
    "row/4",
    "row/5",
    "save/0",
    "save/1",
  ]);
  expect(groupLine(groups[1] ?? [], style)).toBe("✓ row × 4  100 ms to 450 ms");
});

test("calls of another map, or inside another call, do not belong to the group", () => {
  const inside = ["a/0/row/1", "a/0/row/2", "a/1/row/1", "a/1/row/2"].map((path) =>
    one(path, 1, { name: "row" }),
  );
  expect(together(inside, likeness)).toHaveLength(4);
});

test("a followed run shows the first calls of a task, and each failed call", () => {
  const tell = sparing(style);
  const error = { name: "Error", message: "no" };
  const lines = Array.from({ length: 50_000 }, (_, index) =>
    tell(one(`row/${index}`, 1, index === 40_000 ? { error } : {}), `row/${index}`),
  ).flat();
  expect(lines).toHaveLength(22);
  expect(lines.slice(19)).toEqual(["row/19", expect.stringContaining("further calls of row"), "row/40000"]);
});

test("calls name the tasks that their data came from, each once", () => {
  const nameOf = new Map([["load:0123456789abcdef", "load"]]);
  const text = (...upstreams: TaskRun["upstream"][]) =>
    sourcesText(
      upstreams.map((upstream) => one("row", 1, { ...(upstream && { upstream }) })),
      { nameOf, style },
    );
  expect(text(undefined)).toBe("");
  expect(
    text({ paths: ["load:0123456789abcdef", "score:0123456789abcdef"] }, { paths: ["score:key#2"] }),
  ).toBe("  ← load, score");
  expect(text({ paths: ["train/flow:inner"], more: true })).toBe("  ← inner and more");
  expect(text({ paths: ["a", "b", "c", "d", "e"] })).toBe("  ← a, b, c, d and more");
});
