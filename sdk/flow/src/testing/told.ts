import type { Checkpoint, Ref } from "@towpath/contract";
import { TASK_RUN_TRANSITIONS } from "@towpath/contract/words";
import { isFailedBy } from "../engine/failures.ts";
import type { ArtifactDraft, LogDraft, RecordDraft, TaskDraft } from "../engine/records.ts";

/** One task run at the end of an attempt. */
export interface TestedTask {
  readonly path: string;
  readonly name: string;
  readonly state: "pending" | "running" | "retrying" | "completed" | "failed" | "cancelled";
  readonly tries: number;
  readonly result: Ref | null;
}

const STATES = {
  queue: "pending",
  begin: TASK_RUN_TRANSITIONS.begin.to[0],
  retry: TASK_RUN_TRANSITIONS.retry.to[0],
  complete: TASK_RUN_TRANSITIONS.complete.to[0],
  fail: TASK_RUN_TRANSITIONS.fail.to[0],
  cancel: TASK_RUN_TRANSITIONS.cancel.to[0],
  reuse: TASK_RUN_TRANSITIONS.reuse.to[0],
} as const satisfies Record<TaskDraft["move"], TestedTask["state"]>;

function tasksOf(records: readonly RecordDraft[]): TestedTask[] {
  const tasks = new Map<string, TestedTask>();
  for (const record of records) {
    if (record.type !== "task") continue;
    const { path, name, tries, move, result = null } = record;
    tasks.set(path, { path, name, tries, state: STATES[move], result });
  }
  return [...tasks.values()];
}

function isLog(record: RecordDraft): record is LogDraft {
  return record.type === "log";
}

function isArtifact(record: RecordDraft): record is ArtifactDraft {
  return record.type === "artifact";
}

/** The records of an attempt, as a test reads them. */
export function toldBy(records: readonly RecordDraft[]) {
  return {
    name: records.find((record) => record.type === "run-name")?.name ?? null,
    records,
    tasks: tasksOf(records),
    logs: records.filter(isLog),
    artifacts: new Map(records.filter(isArtifact).map((record) => [record.key, record])),
  };
}

/** How often each task's function was called, by task name, in earlier attempts and this one. */
export function executionsOf(
  earlier: Readonly<Record<string, number>>,
  records: readonly RecordDraft[],
): Record<string, number> {
  const counts = new Map(Object.entries(earlier));
  for (const record of records)
    if (record.type === "task" && record.move === "begin")
      counts.set(record.name, (counts.get(record.name) ?? 0) + 1);
  return Object.fromEntries(counts);
}

/** The checkpoints of an attempt's records, as a control plane would return them. */
export function checkpointsOf(records: readonly RecordDraft[]): Checkpoint[] {
  const end = records.findLast((record) => record.type === "outcome");
  const hasFailed = end?.outcome === "failed" || end?.outcome === "cancelled";
  return records.flatMap((record): Checkpoint[] => {
    if (record.type !== "kept" && record.type !== "task") return [];
    const { at, path, result = null, type: kind } = record;
    const common = { path, kind, own: true, at, result };
    if (record.type === "kept") return [{ ...common, codeVersion: null, inputHash: null }];
    const { move, codeVersion = null, inputHash = null, error } = record;
    const made = { ...common, codeVersion, inputHash };
    if (move === "complete" || move === "reuse") return [made];
    if (move !== "fail" || codeVersion === null || error === undefined) return [];
    const { name = "Error", message, stack } = error;
    const isAgain = hasFailed && isFailedBy(end.failedBy ?? null, path);
    return [isAgain ? made : { ...made, error: { name, message, ...(stack !== undefined && { stack }) } }];
  });
}
