import { z } from "zod";
import { Id, Instant } from "../kernel/names.ts";
import { RunError, RunStateName, TaskRun } from "../runs/runs.ts";
import { LogEntry } from "./logs.ts";

/** The most groups of failures of a run. */
export const FAILURE_GROUPS_MAX = 20;

/** Calls of a task with similar failures: their messages differ only in numbers, ids and quoted values. */
export const FailureGroup = z.object({
  task: z.string().describe("The task's name."),
  calls: z.int().describe("How many of its calls failed like this."),
  first: TaskRun.describe("The first of them."),
});
export type FailureGroup = z.infer<typeof FailureGroup>;

/** The facts about a run's failure: what failed, its log lines, and since when. */
export const RunFailure = z.object({
  error: RunError.nullable().describe("The run's error. Null: unknown."),
  advice: z.string().nullable().describe("The next step for its cause. Null: the cause is unknown."),
  task: TaskRun.nullable().describe(
    "The innermost task call that failed with the run's error. Null: no task did; the flow's own code or its process failed.",
  ),
  lines: z
    .array(LogEntry)
    .describe("The last log entries before the failure: of the failed call, if it wrote any."),
  groups: z.array(FailureGroup).max(FAILURE_GROUPS_MAX).describe("The most frequent first."),
  failedCalls: z.int().describe("Failed task calls in the latest attempt, including handled ones."),
  lastCompleted: z
    .object({ id: Id, version: z.int(), endedAt: Instant })
    .nullable()
    .describe("The deployment's last completed run before this one."),
  failingSince: z
    .object({ id: Id, state: RunStateName, createdAt: Instant })
    .nullable()
    .describe(
      "The deployment's first run after `lastCompleted` that did not complete. Null: it is this run, or no run completed.",
    ),
});
export type RunFailure = z.infer<typeof RunFailure>;
