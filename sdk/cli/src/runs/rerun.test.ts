import type { RerunPlan, TaskRun } from "@towpath/contract";
import { expect, test } from "vitest";
import { styles } from "../output.ts";
import { diffTasks } from "./diff-tasks.ts";
import { planLine } from "./rerun.ts";

const style = styles(false);
const plan: RerunPlan = {
  deployment: "body",
  versionBefore: 1,
  version: 2,
  reuse: 6,
  run: 2,
  reasons: [{ reason: "the code of summarise changed", tasks: 2 }],
  tasks: [],
};

test("a plan is one line: what is taken over, what runs, and why", () => {
  expect(planLine(plan, { isChanged: false, style })).toBe(
    "reuse 6 · run 2 · because the code of summarise changed",
  );
  const changed = planLine({ ...plan, run: 0, reasons: [] }, { isChanged: true, style });
  expect(changed).toBe(
    "reuse 6 · run 0 · because the parameters changed, so whatever takes another input runs too",
  );
  const reasons = ["a", "b", "c", "d", "e"].map((reason) => ({ reason, tasks: 1 }));
  expect(planLine({ ...plan, reasons }, { isChanged: false, style })).toContain("a; b; c; 2 more reasons");
});

const one = (path: string, over: Partial<TaskRun> = {}): TaskRun => ({
  ...{ attemptId: "", path, name: path, state: "completed", tries: 1, order: 0, reused: false },
  ...{
    codeVersion: "v1",
    inputHash: null,
    error: null,
    result: null,
    createdAt: "",
    startedAt: null,
    endedAt: null,
  },
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

test("tasks are compared by code, input, result and state; hashes in paths do not keep them apart", () => {
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

test("of several attempts the last word counts, and calls of one name pair up by path first, then in order", () => {
  const [a, b, c] = ["a".repeat(16), "b".repeat(16), "c".repeat(16)];
  const before = [one("x", { state: "crashed" }), one("x"), one(`each:${a}`), one(`each:${b}`)];
  const after = [one("x"), one(`each:${b}`), one(`each:${c}`)];
  expect(short(diffTasks(before, after))).toEqual([
    ["x", true, true, ""],
    ["each", true, true, "input"],
    ["each", true, true, ""],
  ]);
});
