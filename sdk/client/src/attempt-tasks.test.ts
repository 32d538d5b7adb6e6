import type { TaskRun } from "@towpath/contract";
import { expect, test } from "vitest";
import { tasksOfAttempt, tasksOfRun, workingMs } from "./attempt-tasks.ts";

const AT = "2026-01-15T12:00:00.000Z";
const LATER = "2026-01-18T12:00:00.000Z";
const ref = { uri: "file:///store/x", codec: "json" as const, sizeBytes: 1, sha256: "a".repeat(64) };

function taskOf(attemptId: string, path: string, over: Partial<TaskRun> = {}): TaskRun {
  return {
    attemptId,
    path,
    name: path,
    state: "completed",
    tries: 1,
    tryList: [],
    order: 1,
    reused: false,
    codeVersion: "v",
    inputHash: null,
    error: null,
    result: ref,
    createdAt: AT,
    startedAt: AT,
    endedAt: AT,
    ...over,
  };
}

const attempts = ["one", "two", "three"].map((id) => ({ id, startedAt: id === "one" ? AT : LATER }));

test("an attempt shows the results of earlier attempts as reused, with its own start time, before its own calls", () => {
  const tasks = [
    taskOf("one", "load"),
    taskOf("one", "unkept", { result: null }),
    taskOf("one", "open", { state: "cancelled", result: null }),
    taskOf("two", "open"),
    taskOf("three", "last", { state: "running", result: null, endedAt: null }),
  ];
  const shown = tasksOfAttempt(tasks, attempts);
  expect(shown.map(({ path, reused, tries, attemptId }) => [path, reused, tries, attemptId])).toEqual([
    ["load", true, 0, "three"],
    ["open", true, 0, "three"],
    ["last", false, 1, "three"],
  ]);
  expect(shown[0]).toMatchObject({ startedAt: LATER, endedAt: LATER });
  expect(shown[0]?.order).toBeLessThan(shown[1]?.order ?? 0);
  expect(tasksOfAttempt(tasks, attempts.slice(0, 1)).map(({ path }) => path)).toEqual([
    "load",
    "unkept",
    "open",
  ]);
});

test("the latest attempt that completed a path counts, and a call that the attempt runs itself is not reused", () => {
  const tasks = [
    taskOf("two", "load", { codeVersion: "later" }),
    taskOf("one", "load", { codeVersion: "earlier" }),
    taskOf("one", "again"),
    taskOf("three", "again", { state: "failed", result: null }),
  ];
  expect(
    tasksOfAttempt(tasks, attempts).map(({ path, codeVersion, state }) => [path, codeVersion, state]),
  ).toEqual([
    ["load", "later", "completed"],
    ["again", "v", "failed"],
  ]);
});

test("a reused call hides the calls inside it", () => {
  const tasks = [taskOf("one", "train"), taskOf("one", "train/clean"), taskOf("one", "open/part")];
  expect(tasksOfAttempt(tasks, attempts).map(({ path }) => path)).toEqual(["train", "open/part"]);
});

test("a failure that the flow handled is shown as reused; the failure that ended its attempt is not", () => {
  const failed = { state: "failed", result: null } as const;
  const tasks = [
    taskOf("one", "suspended", failed),
    taskOf("one", "unversioned", { ...failed, codeVersion: null }),
    taskOf("one", "taken back", failed),
    taskOf("two", "taken back", { ...failed, fatal: true, reused: true, tries: 0 }),
    taskOf("two", "dealt with", { ...failed, fatal: false }),
    taskOf("two", "unknown", failed),
  ];
  const states = ["suspended", "failed", "running"] as const;
  const known = attempts.map((one, at) => ({ ...one, state: states[at] ?? "running" }));
  expect(tasksOfAttempt(tasks, known).map(({ path, state, reused }) => [path, state, reused])).toEqual([
    ["suspended", "failed", true],
    ["dealt with", "failed", true],
  ]);
});

test("a whole run has each call once, at the time when it ran, with the calls of earlier attempts that did not complete it", () => {
  const tasks = [
    taskOf("two", "hold", { startedAt: LATER, endedAt: LATER, order: 1 }),
    taskOf("two", "last", { createdAt: LATER, order: 2 }),
    taskOf("one", "load", { order: 1 }),
    taskOf("one", "hold", { state: "crashed", result: null, order: 2 }),
    taskOf("one", "other run", { reused: true, tries: 0, order: 3 }),
    taskOf("two", "load", { reused: true, startedAt: LATER, endedAt: LATER, order: 3 }),
  ];
  const whole = tasksOfRun(tasks, attempts);
  expect(whole.map(({ path, order, attemptId, startedAt }) => [path, order, attemptId, startedAt])).toEqual([
    ["load", 0, "one", AT],
    ["hold", 1, "two", LATER],
    ["other run", 2, "one", AT],
    ["last", 3, "two", AT],
  ]);
  expect(whole.map(({ earlier, reused }) => [earlier?.map(({ state }) => state), reused])).toEqual([
    [undefined, false],
    [["crashed"], false],
    [undefined, true],
    [undefined, false],
  ]);
});

test("a call that another pool completed while the run was suspended is completed", () => {
  const tasks = [
    taskOf("one", "remote", { state: "suspended", result: null }),
    taskOf("two", "remote", { reused: true, tries: 0 }),
  ];
  const [call] = tasksOfRun(tasks, attempts);
  expect([call?.state, call?.earlier?.map(({ state }) => state)]).toEqual(["completed", ["suspended"]]);
});

test("calls of an attempt that is not listed yet are the latest", () => {
  const tasks = [taskOf("four", "hold", { state: "running" }), taskOf("one", "hold", { state: "cancelled" })];
  expect(tasksOfRun(tasks, attempts).map(({ attemptId }) => attemptId)).toEqual(["four"]);
});

test("the working time of a run is the sum of its attempts, without the time between them", () => {
  const at = (seconds: number) => new Date(seconds * 1_000).toISOString();
  const first = { startedAt: at(0), endedAt: at(4) };
  expect(workingMs([first, { startedAt: at(300), endedAt: at(303) }], 999_000)).toBe(7_000);
  expect(workingMs([first, { startedAt: at(300), endedAt: null }], 310_000)).toBe(14_000);
  expect(workingMs([first, { startedAt: null, endedAt: null }], 310_000)).toBe(4_000);
  expect(workingMs([{ startedAt: null, endedAt: null }], 310_000)).toBeNull();
});
