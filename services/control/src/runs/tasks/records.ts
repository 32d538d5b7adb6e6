import {
  type ControlRecord,
  type Fence,
  FINAL_TASK_RUN_STATES,
  type TaskRunTransition,
  type TaskTry,
  tryListMax,
} from "@towpath/contract";
import {
  cleanInstant,
  type Deps,
  failpoint,
  type Tx,
  wakeSequencer,
  writeChanges,
} from "../../kernel/index.ts";
import { pathKey } from "../moves/fingerprint.ts";
import { taskRunAfter } from "../moves/state.ts";
import type { AttemptRow, TaskRunRow } from "../table.ts";
import { findTaskRuns, saveTaskRuns, storeCalls } from "./store.ts";
import { taskRunChange } from "./wire.ts";

/** A record about a task run, or about a value that was kept in one. */
export type TaskRecord = Extract<ControlRecord, { type: "task" | "kept" }>;
type TaskMove = Extract<ControlRecord, { type: "task" }>;
type KeptRecord = Extract<ControlRecord, { type: "kept" }>;

/** The most characters of the message of a failed try. The call's own error has the message of the last try. */
const TRY_ERROR_CHARS = 500;

/**
 * Applies the task records of one attempt in order, with one read and one write for all of them. The caller holds the
 * attempt's lock. Task runs are written only under it, so no row needs a guard of its own. A missing task run counts as
 * pending: its `queue` may have been dropped or rejected.
 * @returns The records whose move the table does not have. Nothing of them was applied.
 */
export async function applyTaskRecords(
  tx: Tx,
  held: AttemptRow,
  records: readonly TaskRecord[],
): Promise<TaskRecord[]> {
  if (records.length === 0) return [];
  const keyOf = new Map(records.map((record) => [record.path, pathKey(record.path)]));
  const known = await findTaskRuns(tx, { attemptId: held.id, pathKeys: [...keyOf.values()] });
  const { touched, refused } = rowsAfter(held, known, records);
  await saveTaskRuns(tx, touched);
  await writeChanges(tx, touched.filter((row) => row.kind === "task").map(taskRunChange));
  return refused;
}

/**
 * Stores task calls whose first record is among these, in one statement with its own commit. Runs of short steps report little
 * else: a flow that waits for its step to be stored then waits for one round trip instead of seven.
 * @param args.moves the next records of the attempt, in their sequence.
 * @returns the attempt's last bulk sequence. Null: another record of a call came before, or the records do not continue the
 * attempt's sequence. Nothing is stored then.
 */
export async function storeNewCalls(
  deps: Deps,
  args: { workspaceId: string; fence: Fence & { workerId: string }; moves: readonly TaskMove[] },
): Promise<number | null> {
  const { workspaceId, fence, moves } = args;
  const begun = new Set<string>();
  for (const { path, move } of moves) {
    if (!begun.has(path) && move !== "queue") return null;
    begun.add(path);
  }
  // The run id is a stand-in: only the attempt's row has the run.
  const home = { id: fence.attemptId, workspaceId, runId: fence.attemptId, ordinal: 0 };
  const { touched, refused } = rowsAfter(home, [], moves);
  const [firstSeq, lastSeq] = [moves.at(0)?.seq, moves.at(-1)?.seq];
  if (refused.length > 0 || firstSeq === undefined || lastSeq === undefined) return null;
  failpoint("report");
  const { database, clock, config } = deps;
  const stored = { workspaceId, fence, leaseMs: config.leaseMs, rows: touched, firstSeq, lastSeq };
  const bulkAcked = await storeCalls(database.db, clock, stored);
  if (bulkAcked !== null) wakeSequencer(deps);
  return bulkAcked;
}

/** The columns of an attempt that its task runs repeat. */
type Home = Pick<AttemptRow, "id" | "workspaceId" | "runId" | "ordinal">;

/** Applies records in order. @returns the changed task runs, and the records whose move the table does not have. */
function rowsAfter<Record extends TaskRecord>(
  held: Home,
  known: readonly TaskRunRow[],
  records: readonly Record[],
): { touched: TaskRunRow[]; refused: Record[] } {
  const now = new Map(known.map((row) => [row.path, row]));
  const touched = new Map<string, TaskRunRow>();
  const refused: Record[] = [];
  for (const record of records) {
    const next = after(held, now.get(record.path) ?? null, record);
    if (next === null) {
      refused.push(record);
      continue;
    }
    now.set(record.path, next);
    touched.set(record.path, next);
  }
  return { touched: [...touched.values()], refused };
}

/** The row after a record, or null if the record is refused. A path belongs to a task or to a kept value, for good. */
function after(held: Home, row: TaskRunRow | null, record: TaskRecord): TaskRunRow | null {
  if (row !== null && row.kind !== record.type) return null;
  if (record.type === "kept") return kept(row ?? pending(held, { ...record, name: "kept" }), record);
  return row === null || record.move !== "queue" ? moved(row ?? pending(held, record), record) : null;
}

function kept(row: TaskRunRow, record: KeptRecord): TaskRunRow {
  const at = cleanInstant(record.at);
  return {
    ...row,
    kind: "kept",
    state: "completed",
    result: record.result ?? null,
    startedAt: at,
    endedAt: at,
  };
}

function pending(held: Home, record: Pick<TaskMove, "path" | "name" | "seq" | "at">): TaskRunRow {
  return {
    attemptId: held.id,
    pathKey: pathKey(record.path),
    path: record.path,
    name: record.name,
    workspaceId: held.workspaceId,
    runId: held.runId,
    attempt: held.ordinal,
    ord: record.seq,
    state: "pending",
    tries: 0,
    error: null,
    result: null,
    startedAt: null,
    endedAt: null,
    kind: "task",
    codeVersion: null,
    inputHash: null,
    fatal: null,
    dataTime: null,
    upstream: null,
    tryList: null,
    createdAt: cleanInstant(record.at),
  };
}

/** The task run after a move, or null if the table has no such move. The times are from the worker, and only shown. */
function moved(row: TaskRunRow, record: TaskMove): TaskRunRow | null {
  const upstream = record.upstream ?? row.upstream;
  if (record.move === "queue") return { ...row, upstream, tries: record.tries };
  const state = taskRunAfter(row.state, transitionOf(row, record.move));
  if (state === null) return null;
  const at = cleanInstant(record.at);
  // No record says when a reuse began. It did nothing but load its result.
  const begunAt = record.move === "reuse" ? new Date(at.getTime() - (record.dataTime?.loadMs ?? 0)) : at;
  return {
    ...row,
    state,
    tries: record.tries,
    tryList: triesAfter(row, record, at),
    codeVersion: record.codeVersion ?? row.codeVersion,
    inputHash: record.inputHash ?? row.inputHash,
    error: record.error ?? (state === "completed" || state === "running" ? null : row.error),
    result: record.result ?? row.result,
    dataTime: record.dataTime ?? row.dataTime,
    upstream,
    createdAt: earlierOf(row.createdAt, begunAt),
    startedAt: row.startedAt ?? (state === "pending" ? null : begunAt),
    endedAt: FINAL_TASK_RUN_STATES.includes(state) ? at : null,
  };
}

function earlierOf(one: Date, other: Date): Date {
  return other < one ? other : one;
}

/** The tries after this move. A call with one try has no list: its own times are those of the try. */
function triesAfter(row: TaskRunRow, record: TaskMove, at: Date): TaskTry[] | null {
  if (row.startedAt === null) return null;
  const instant = at.toISOString();
  const error = record.error?.message.slice(0, TRY_ERROR_CHARS) ?? null;
  const begun: TaskTry[] = row.tryList ?? [
    { startedAt: row.startedAt.toISOString(), endedAt: null, error: null },
  ];
  if (record.move === "begin" && row.state === "retrying")
    return [...begun, { startedAt: instant, endedAt: null, error: null }].slice(-tryListMax);
  if (row.tryList === null && record.move !== "retry") return null;
  return begun.map((one) => (one.endedAt === null ? { ...one, endedAt: instant, error } : one));
}

/** A task that completes without a start reuses an earlier result. */
function transitionOf(row: TaskRunRow, move: Exclude<TaskMove["move"], "queue">): TaskRunTransition {
  return move === "complete" && row.state === "pending" ? "reuse" : move;
}
