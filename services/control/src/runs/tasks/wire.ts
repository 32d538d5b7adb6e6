import type { TaskRun } from "@towpath/contract";
import type { NewChange } from "../../kernel/index.ts";
import type { TaskRunRow } from "../table.ts";

const iso = (instant: Date | null) => instant?.toISOString() ?? null;

/** The change of a task run, with its whole wire form. So a replay shows each step as it was. */
export function taskRunChange(row: TaskRunRow): NewChange {
  return {
    workspaceId: row.workspaceId,
    kind: "task",
    runId: row.runId,
    entityId: row.attemptId,
    data: { ...taskRunOf(row) },
  };
}

/** A task run as people see it. */
export function taskRunOf(row: TaskRunRow): TaskRun {
  return {
    attemptId: row.attemptId,
    path: row.path,
    name: row.name,
    state: row.state,
    tries: row.tries,
    tryList: row.tryList ?? [],
    order: row.ord,
    reused: hasEndKept(row) && row.tries === 0,
    codeVersion: row.codeVersion,
    inputHash: row.inputHash,
    error: row.error,
    ...(row.fatal !== null && { fatal: row.fatal }),
    result: row.result,
    ...(row.upstream !== null && { upstream: row.upstream }),
    ...(row.dataTime !== null && { dataTime: row.dataTime }),
    createdAt: row.createdAt.toISOString(),
    startedAt: iso(row.startedAt),
    endedAt: iso(row.endedAt),
  };
}

/** Whether a call ended so that a later attempt may take its end. */
function hasEndKept({ state, codeVersion }: TaskRunRow): boolean {
  return state === "completed" || (state === "failed" && codeVersion !== null);
}
