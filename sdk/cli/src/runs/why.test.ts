import type { Run } from "@towpath/contract";
import { expect, test } from "vitest";
import { createOutput } from "../output.ts";
import { runningText, tellEnd } from "./why.ts";

const id = "0193a0b1-7c00-7000-8000-000000000001";

const started = { id, startedAt: "2026-01-01T00:00:00.000Z", cancelReason: null };

function told(run: Pick<Run, "state" | "cause" | "error"> & Partial<Run>): string[] {
  let text = "";
  const stdout = { write: (part: string) => (text += part) };
  tellEnd(createOutput({ stdout, stderr: stdout }, { json: false, color: false }), { ...started, ...run });
  return text.trimEnd().split("\n");
}

test("a failed run shows its error, the meaning of its cause, and the next command", () => {
  const error: Run["error"] = { name: "RangeError", message: "out of bounds" };
  const lines = told({ state: "failed", cause: "error", error });
  expect(lines[0]).toBe("  RangeError: out of bounds");
  expect(lines.slice(2)).toEqual([
    `→ Fix the cause. If you changed code, run \`towpath deploy\`. Then run \`towpath rerun ${id} --from-failure\`: it reuses completed tasks.`,
    `→ \`towpath logs ${id}\` prints its log`,
    `→ If you corrected data that a completed task has read, run \`towpath rerun ${id}\` without \`--from-failure\`.`,
  ]);
});

test("advice without the command is followed by the command", () => {
  expect(told({ state: "crashed", cause: "lost", error: null }).slice(2)).toEqual([
    `→ \`towpath logs ${id}\` prints its log`,
    `→ \`towpath rerun ${id} --from-failure\` reuses completed tasks and runs the rest`,
  ]);
});

test("a run that was cancelled before it started has a reason, no log and nothing to reuse", () => {
  const run = {
    state: "cancelled",
    cause: "user",
    error: null,
    startedAt: null,
    cancelReason: "by mistake",
  } as const;
  expect(told(run).slice(1)).toEqual(["  Reason: by mistake", `→ \`towpath rerun ${id}\` runs it again`]);
});

test("a completed run has no next step", () => {
  expect(told({ state: "completed", cause: null, error: null })).toEqual(["  The run completed."]);
});

test("a running run names its worker, and when it was last seen", () => {
  const nowMs = Date.parse("2026-01-01T00:01:00.000Z");
  const worker = { id, name: "vm-1" };
  const run = { state: "running", attemptList: [{ endedAt: null, worker }] } as unknown as Run;
  const workers = [{ id, lastSeenAt: "2026-01-01T00:00:45.000Z" }];
  expect(runningText(run, { workers, nowMs })).toBe("It runs on worker vm-1, last seen 15 s ago.");
  expect(runningText(run, { workers: [], nowMs })).toBe("It runs on worker vm-1.");
  expect(runningText({ ...run, state: "ready" }, { workers, nowMs })).toBe("Nothing blocks this run.");
});
