import { ControlRecord, type Reported } from "@towpath/contract";
import { cleanJson, type Deps, failpoint, wakeSequencer } from "../../kernel/index.ts";
import { type FenceOf, rowsAfter, storeCalls, type TaskRecord } from "../../runs/index.ts";
import type { TaskRunRow } from "../../runs/table.ts";
import { type LooseRecord, nextInSequence, readRecord } from "./records.ts";

/** One worker's report of one attempt. */
interface OwnReport {
  readonly workspaceId: string;
  readonly workerId: string;
  readonly report: FenceOf & {
    readonly control: readonly LooseRecord[];
    readonly bulk: readonly LooseRecord[];
  };
}

/** Task calls whose first record is in this report. Runs of short steps report little else. */
interface NewCalls {
  /** The rows after all records. Their run id is a stand-in: only the attempt's row has the run. */
  readonly rows: readonly TaskRunRow[];
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** The new task calls of a report, or null if it has anything else. */
function newCallsIn({ workspaceId, report: { attemptId, control, bulk } }: OwnReport): NewCalls | null {
  const firstSeq = Math.min(...control.map(({ seq }) => seq));
  const records = nextInSequence(control, firstSeq - 1).map(taskMoveOf);
  const moves = records.filter((record) => record !== null);
  if (bulk.length > 0 || moves.length === 0 || moves.length < control.length) return null;
  const begun = new Set<string>();
  for (const { path, move } of moves) {
    if (!begun.has(path) && move !== "queue") return null;
    begun.add(path);
  }
  const home = { id: attemptId, workspaceId, runId: attemptId, ordinal: 0 };
  const { touched, refused } = rowsAfter(home, [], moves);
  return refused.length > 0 ? null : { rows: touched, firstSeq, lastSeq: firstSeq + moves.length - 1 };
}

function taskMoveOf(loose: LooseRecord): Extract<TaskRecord, { type: "task" }> | null {
  const { record } = readRecord(ControlRecord, loose);
  return record?.type === "task" ? cleanJson(record) : null;
}

/**
 * Stores a report that has only new task calls, in one statement with its own commit. A flow that waits for its step to
 * be stored then waits for one round trip instead of seven.
 * @returns null if the report has other records, or does not continue the attempt's sequence. Nothing is stored then.
 */
export async function storeNewCalls(
  deps: Deps,
  own: OwnReport,
): Promise<Reported["attempts"][number] | null> {
  const calls = newCallsIn(own);
  if (calls === null) return null;
  failpoint("report");
  const { attemptId, epoch, nonce } = own.report;
  const fence = { attemptId, epoch, nonce, workerId: own.workerId };
  const { leaseMs } = deps.config;
  const a = { ...calls, fence, workspaceId: own.workspaceId, leaseMs };
  const bulkAcked = await storeCalls(deps.database.db, deps.clock, a);
  if (bulkAcked === null) return null;
  wakeSequencer(deps);
  return {
    attemptId,
    status: "accepted",
    controlAcked: calls.lastSeq,
    bulkAcked,
    rejected: [],
    outcome: null,
  };
}
