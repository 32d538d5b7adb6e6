import { describe, expect, test } from "vitest";
import type { RecordDraft } from "../engine/records.ts";
import { ConsoleSink, drawTable } from "./console-sink.ts";
import { durationText, harmless, taskLabel } from "./style.ts";

const at = "2026-01-02T03:04:05.006Z";

async function shown(records: RecordDraft[], terminal: { isInteractive?: boolean; colour?: boolean } = {}) {
  let text = "";
  const sink = new ConsoleSink({
    write: (part) => {
      text += part;
    },
    isInteractive: terminal.isInteractive ?? false,
    colour: terminal.colour ?? false,
    columns: 60,
  });
  for (const record of records) await sink.post(record);
  return text;
}

const progress = (done: number): RecordDraft => ({
  type: "artifact",
  at,
  key: "p",
  title: "Reading",
  body: { kind: "progress", done, total: 100, unit: "rows" },
});
const line: RecordDraft = { type: "log", at, level: "info", text: "a line", task: "clean:0123456789abcdef" };
const task = (move: "queue" | "complete" | "fail", when: string): RecordDraft => ({
  type: "task",
  at: when,
  path: "clean:0123456789abcdef",
  name: "clean",
  move,
  tries: 2,
  error: { message: "no" },
});

test("a table aligns numbers to the right and says what it left out", () => {
  const rows = Array.from({ length: 42 }, (_, index) => ["n", index]);
  const lines = drawTable({ columns: ["name", "count"], rows });
  expect(lines.slice(0, 3)).toEqual(["name  count", "────  ─────", "n         0"]);
  expect(lines.at(-1)).toBe("… and 2 more rows");
});

test("log lines show time, text and task, and no escape sequence of the user's", async () => {
  const text = await shown([line, { type: "log", at, level: "warn", text: "\u001b[2Jgone\u0007" }]);
  expect(text).toBe("  03:04:05.006 a line (clean)\n  03:04:05.006 warn gone�\n");
  expect(harmless("a\u001b]0;title\u0007b")).toBe("ab");
});

test("tasks show how long they took and how they ended", async () => {
  const [begin, end] = ["2026-01-02T03:04:05.000Z", "2026-01-02T03:04:07.500Z"];
  expect(await shown([task("queue", begin), task("complete", end)])).toBe("✓ clean 2.5 s, 2 tries\n");
  expect(await shown([task("queue", begin), task("fail", end)])).toBe(
    "✗ clean failed after 2.5 s, 2 tries: no\n",
  );
});

describe("progress", () => {
  test("is a line at each quarter where lines cannot be drawn over", async () => {
    const text = await shown([0, 10, 26, 30, 49, 80, 100].map(progress));
    expect(text.match(/\d+ %/g)).toEqual(["26 %", "80 %", "100 %"]);
  });

  test("is a bar on a terminal, above which other lines appear, and which goes when it is full", async () => {
    const text = await shown([progress(50), line, progress(100)], { isInteractive: true });
    expect(text).toContain("████████████░░░░░░░░░░░░ 50 %");
    expect(text).toMatch(/a line \(clean\)\n {2}Reading █/);
    expect(text.endsWith("\r\u001b[2K")).toBe(true);
  });
});

test("colour is only where it is wanted", async () => {
  expect(await shown([task("complete", at)])).not.toContain("\u001b[");
  expect(await shown([task("complete", at)], { colour: true })).toContain("\u001b[32m✓");
});

test("durations and task paths read like people say them", () => {
  expect([12, 2345, 125_000].map(durationText)).toEqual(["12 ms", "2.3 s", "2 min 5 s"]);
  expect(taskLabel("ingest:0123456789abcdef/clean:a%2Fb#2")).toBe("ingest/clean:a/b#2");
});
