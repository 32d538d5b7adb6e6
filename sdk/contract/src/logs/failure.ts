import { z } from "zod";
import { Id, Instant } from "../kernel/names.ts";
import { RunError, RunStateName, TaskRun } from "../runs/runs.ts";
import { LogEntry } from "./logs.ts";

/** The most groups of failures that are told of a run. */
export const FAILURE_GROUPS_MAX = 20;

/** Calls of a task that failed alike: their messages differ in numbers, ids and quoted values at most. */
export const FailureGroup = z.object({
  task: z.string().describe("The task's name."),
  calls: z.int().describe("How many of its calls failed like this."),
  first: TaskRun.describe("The first of them."),
});
export type FailureGroup = z.infer<typeof FailureGroup>;

/** What somebody needs who is called because a run failed: what failed, what was written beside it, and since when. */
export const RunFailure = z.object({
  error: RunError.nullable().describe("What the run ended with. Null: nobody could tell."),
  advice: z.string().nullable().describe("What to do next, by the cause. Null: the cause is unknown."),
  task: TaskRun.nullable().describe(
    "The innermost call that failed with what the run ended with. Null: no task did; what failed is the flow's own code, or its process.",
  ),
  lines: z
    .array(LogEntry)
    .describe("The last entries of the log before the failure: the call's own where it wrote any."),
  groups: z.array(FailureGroup).max(FAILURE_GROUPS_MAX).describe("The commonest first."),
  failedCalls: z.int().describe("Calls of tasks that failed in the latest attempt, handled ones included."),
  lastCompleted: z
    .object({ id: Id, version: z.int(), endedAt: Instant })
    .nullable()
    .describe("The deployment's last run before this one that completed."),
  failingSince: z
    .object({ id: Id, state: RunStateName, createdAt: Instant })
    .nullable()
    .describe(
      "The deployment's first run after that one which did not. Null: it is this one, or none completed.",
    ),
});
export type RunFailure = z.infer<typeof RunFailure>;
