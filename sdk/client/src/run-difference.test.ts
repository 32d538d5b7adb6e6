import type { TaskRun } from "@towpath/contract";
import { expect, test } from "vitest";
import { compareRuns, diffTasks, tookMs } from "./run-difference.ts";

const one = (path: string, over: Partial<TaskRun> = {}): TaskRun => ({
  attemptId: "",
  path,
  name: path,
  state: "completed",
  tries: 1,
  tryList: [],
  order: 0,
  reused: false,
  codeVersion: "v1",
  inputHash: null,
  error: null,
  result: null,
  createdAt: "",
  startedAt: null,
  endedAt: null,
  ...over,
});
const ref = (sha256: string) => ({ uri: "", codec: "json" as const, sizeBytes: 1, sha256 });
const short = (found: ReturnType<typeof diffTasks>) =>
  found.map(({ label, before, after, differs }) => [
    label,
    before !== null,
    after !== null,
    differs.join(" "),
  ]);

test("tasks are compared by code, input, result and state; hashes in paths do not separate them", () => {
  const [a, b] = ["a".repeat(16), "b".repeat(16)];
  const before = [
    one("load", { result: ref("1") }),
    one(`train:${a}`, { result: ref("2") }),
    one("gone"),
    one("fixed", { state: "failed" }),
  ];
  const after = [
    one("load", { result: ref("1"), reused: true }),
    one(`train:${b}`, { result: ref("3"), codeVersion: "v2" }),
    one("fixed", { codeVersion: "v2" }),
    one("new"),
  ];
  expect(short(diffTasks(before, after))).toEqual([
    ["load", true, true, ""],
    ["train", true, true, "code input result"],
    ["gone", true, false, ""],
    ["fixed", true, true, "code state"],
    ["new", false, true, ""],
  ]);
});

test("the same content has the same result, although each run's worker signs its ref anew", () => {
  const [content, other] = ["a".repeat(32), "b".repeat(32)];
  const result = (digits: string, mac: string) => [one("load", { result: ref(digits + mac.repeat(32)) })];
  expect(short(diffTasks(result(content, "1"), result(content, "2")))).toEqual([["load", true, true, ""]]);
  expect(short(diffTasks(result(content, "1"), result(other, "1")))).toEqual([
    ["load", true, true, "result"],
  ]);
});

test("the latest attempt of a call counts, and calls of one task pair by path first, then in order", () => {
  const [a, b, c] = ["a".repeat(16), "b".repeat(16), "c".repeat(16)];
  const before = [one("x", { state: "crashed" }), one("x"), one(`each:${a}`), one(`each:${b}`)];
  const after = [one("x"), one(`each:${b}`), one(`each:${c}`)];
  expect(short(diffTasks(before, after))).toEqual([
    ["x", true, true, ""],
    ["each", true, true, "input"],
    ["each", true, true, ""],
  ]);
});

test("a call has a duration once it has ended, unless it reused a result", () => {
  const times = { startedAt: "2026-01-01T00:00:00.000Z", endedAt: "2026-01-01T00:00:02.500Z" };
  expect(tookMs(one("x", times))).toBe(2_500);
  expect([
    tookMs(one("x", { ...times, endedAt: null })),
    tookMs(one("x", { ...times, reused: true })),
  ]).toEqual([null, null]);
});

test("two runs are read page by page, up to a limit, and their parameters are compared by name", async () => {
  const pages: Record<string, string[]> = { "": ["a", "b"], second: ["c"] };
  const client = {
    getRun: async ({ params }: { params: { runId: string } }) => ({
      id: params.runId,
      parameters: params.runId === "1" ? { rows: 1, kept: { x: 1 } } : { kept: { x: 1 }, more: true },
    }),
    listTaskRuns: async ({ query }: { query: { cursor?: string } }) => ({
      items: (pages[query.cursor ?? ""] ?? []).map((path) => one(path)),
      next: query.cursor === undefined ? "second" : null,
    }),
    // Stands for the two calls at the network's edge.
  } as unknown as Parameters<typeof compareRuns>[0];
  const whole = await compareRuns(client, { before: "1", after: "2" });
  expect(whole.parameters).toEqual([
    { name: "more", after: true },
    { name: "rows", before: 1 },
  ]);
  expect([whole.tasks.length, whole.isCut]).toEqual([3, false]);
  const cut = await compareRuns(client, { before: "1", after: "2", tasksMax: 2 });
  expect([cut.tasks.length, cut.isCut]).toEqual([2, true]);
});
