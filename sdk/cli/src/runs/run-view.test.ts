import type { Artifact, RunStreamEvent, RunSummary, TaskRun } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { styles } from "../output.ts";
import { artifactLines, logLine, progressLine, taskLine } from "./draw.ts";
import { exitOfState } from "./outcome.ts";
import { progressOf, RunView } from "./run-view.ts";

const style = styles(false);
const id = (n: number) => `0193a0b1-7c00-7000-8000-${String(n).padStart(12, "0")}`;
const at = (second: number) => new Date(second * 1000).toISOString();

const run: RunSummary = {
  id: id(1),
  deployment: "flights",
  version: 1,
  pool: "local",
  queue: null,
  state: "running",
  cause: null,
  trigger: { kind: "person", name: "me" },
  priority: 0,
  tags: [],
  attempts: 1,
  createdAt: at(0),
  scheduledAt: at(0),
  startedAt: at(1),
  endedAt: null,
  workedMs: null,
  workingSince: null,
  labels: [],
  name: null,
};
const task: TaskRun = {
  attemptId: id(2),
  path: "ingest",
  name: "ingest",
  state: "running",
  tries: 1,
  tryList: [],
  order: 0,
  reused: false,
  codeVersion: null,
  inputHash: null,
  error: null,
  result: null,
  createdAt: at(1),
  startedAt: at(1),
  endedAt: null,
};
const artifact: Artifact = {
  attemptId: id(2),
  key: "rows",
  title: "Rows",
  task: null,
  body: { kind: "progress", done: 1_500_000, total: 3_000_000, unit: "rows" },
  updatedAt: at(2),
};

const viewOf = (...events: RunStreamEvent[]) => {
  const view = new RunView();
  for (const event of events) view.apply(event);
  return view;
};
const taskEvent = (data: TaskRun): RunStreamEvent => ({ event: "task", data });

describe("the view of a run", () => {
  test("keeps the open tasks, the latest of each artifact, and the end", () => {
    const done = { ...task, state: "completed", endedAt: at(3) } as const;
    const view = viewOf(
      { event: "run", data: run },
      taskEvent(task),
      taskEvent({ ...task, path: "clean" }),
      { event: "artifact", data: artifact },
      taskEvent(done),
      { event: "end", data: { state: "completed" } },
    );
    expect([...view.open.keys()]).toEqual(["clean"]);
    expect(progressOf(view)[0]).toMatchObject({ title: "Rows" });
    expect(view.run?.state).toBe("completed");
  });

  test("starts with empty tasks at the next attempt, and ignores late events of the earlier one", () => {
    const again = { ...task, attemptId: id(3), path: "other" };
    const view = viewOf(taskEvent(task), taskEvent(again), taskEvent({ ...task, path: "late" }));
    expect([...view.open.keys()]).toEqual(["other"]);
  });

  test("costs no more for each event when very many tasks have ended", () => {
    const view = new RunView();
    const begun = performance.now();
    for (let count = 0; count < 200_000; count++) {
      const path = `load/${count}`;
      view.apply(taskEvent({ ...task, path }));
      view.apply(taskEvent({ ...task, path, state: "completed", endedAt: at(3) }));
    }
    expect(view.open.size).toBe(0);
    // Copying the tasks with each event took minutes.
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test("forgets all earlier events when the stream starts again", () => {
    const view = viewOf({ event: "run", data: run }, taskEvent(task), { event: "begin", data: {} });
    expect([view.run, view.open.size, view.artifacts.size]).toEqual([null, 0, 0]);
  });
});

describe("drawing", () => {
  test("shows a task with its mark, tries and duration", () => {
    const done = { ...task, state: "completed", endedAt: at(3.5), tries: 2 } as const;
    expect(taskLine(done, { style, nowMs: 0 })).toBe("✓ ingest try 2  2.5 s");
    expect(taskLine(task, { style, nowMs: 4000 })).toBe("● ingest  3.0 s");
    const dataTime = { saveMs: 1_200, saveBytes: 48_000_000 };
    expect(taskLine({ ...done, tries: 1, dataTime }, { style, nowMs: 0 })).toBe(
      "✓ ingest  2.5 s (saving 1.2 s, 48 MB)",
    );
    const nested = { ...done, path: "ingest/clean", name: "clean", state: "failed", tries: 1 } as const;
    const error = { name: "Error", message: "no\nrows" };
    expect(taskLine({ ...nested, error }, { style, nowMs: 0 })).toBe("  ✗ clean  2.5 s  no rows");
    const mapped = { ...done, path: "load/7", name: "load", tries: 1 };
    expect(taskLine(mapped, { style, nowMs: 0 })).toBe("✓ load/7  2.5 s");
    const inMapped = { ...mapped, path: "load/7/clean:5dc5dbc91eb0adb7#2", name: "clean" };
    expect(taskLine(inMapped, { style, nowMs: 0 })).toBe("    ✓ clean#2  2.5 s");
  });

  test("shows progress as a bar with counts, or counts alone without a total", () => {
    const body = { kind: "progress", done: 1_500_000, total: 3_000_000, unit: "rows" } as const;
    expect(progressLine("Rows", body, style)).toBe(
      `Rows  ${"━".repeat(14)}${"─".repeat(14)}  50%  1,500,000 / 3,000,000 rows`,
    );
    expect(progressLine("Rows", { ...body, total: null }, style)).toBe("Rows  1,500,000 rows");
  });

  test("shows tables up to a limit of rows", () => {
    const rows = Array.from({ length: 45 }, (_, index) => [`m${index}`, index / 3]);
    const lines = artifactLines(
      { ...artifact, title: "M", body: { kind: "table", columns: ["a", "b"], rows } },
      style,
    );
    expect(lines).toHaveLength(1 + 1 + 40 + 1);
    expect(lines[3]).toBe("m1   0.333333");
    expect(lines.at(-1)).toBe("… and 5 more rows");
  });

  test("shows lines and gaps of a log", () => {
    const line = {
      kind: "line",
      attempt: 2,
      line: 7,
      at: at(1.25),
      level: "warn",
      stream: "log",
      text: "x\u001b[31my",
    } as const;
    expect(logLine(line, { style, attempts: true })).toBe("#2 00:00:01.250 warn xy");
    expect(logLine({ ...line, task: "train:5dc5dbc91eb0adb7/fit" }, { style, attempts: false })).toContain(
      "[train/fit] ",
    );
    const several = logLine({ ...line, text: "rows {\n  a: 1\r\n}" }, { style, attempts: false });
    expect(several).toBe("00:00:01.250 warn rows {\n               a: 1\n             }");
    const gap = { kind: "gap", attempt: 2, line: 8, count: 3, reason: "full" } as const;
    expect(logLine(gap, { style, attempts: false })).toBe("⋯ 3 lines are missing: full");
  });

  test("has the exit code of success only if the run completed", () => {
    expect(
      ["completed", "failed", "crashed", "cancelled"].map((state) => exitOfState(state as "failed")),
    ).toEqual(["ok", "failed", "failed", "cancelled"]);
  });
});
