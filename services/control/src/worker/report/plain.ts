import { ATTEMPT_TRANSITIONS, ControlRecord, isDue, type Reported } from "@towpath/contract";
import { cleanJson, type Deps, DUE, failpoint, wakeSequencer } from "../../kernel/index.ts";
import { type FenceOf, type PlainMoved, type PlainRecord, savePlain } from "../../runs/index.ts";
import { type LooseRecord, readRecord } from "./records.ts";

/** A worker's report of one attempt. */
interface AttemptReport extends FenceOf {
  readonly control: readonly LooseRecord[];
  readonly bulk: readonly LooseRecord[];
}

type Answer = Reported["attempts"][number];

const [COMPLETED] = ATTEMPT_TRANSITIONS.complete.to;

/** The only record of a report, if it says that the attempt has started or completed. Null for any other report. */
export function plainRecord(report: AttemptReport, workerId: string): PlainRecord | null {
  const [loose, another] = report.control;
  if (loose === undefined || another !== undefined || report.bulk.length > 0) return null;
  const { attemptId, epoch, nonce } = report;
  const { record } = readRecord(ControlRecord, loose);
  const by = { attemptId, epoch, nonce, workerId, seq: loose.seq };
  if (record?.type === "started")
    return cleanJson({ ...by, starts: true, exitCode: null, lastBulkSeq: null, result: null });
  if (record?.type !== "ended" || record.outcome !== "completed") return null;
  const { exitCode, lastBulkSeq, result = null } = record;
  return cleanJson({ ...by, starts: false, exitCode, lastBulkSeq, result });
}

/**
 * Applies plain records of a workspace's attempts, each named once.
 * @returns the answers, by attempt. A missing attempt needs a full transaction; nothing of it has changed.
 */
export async function applyPlain(
  deps: Deps,
  args: { workspaceId: string; records: readonly PlainRecord[] },
): Promise<Map<string, Answer>> {
  const { workspaceId, records } = args;
  if (records.length === 0) return new Map();
  // A fault here finds nothing committed, as before the commit of a transaction.
  if (records.some(({ starts }) => starts)) failpoint("start");
  if (records.some(({ starts }) => !starts)) failpoint("end");
  const { database, clock, config } = deps;
  const moved = await savePlain(database.db, clock, { workspaceId, records, leaseMs: config.leaseMs });
  if (moved.length > 0) wakeSequencer(deps);
  // A schedule or backfill may wait for this end.
  if (moved.some(({ ended }) => ended !== null && isDue(ended))) deps.wakes.publish("change", [DUE]);
  const seqs = new Map(records.map(({ attemptId, seq }) => [attemptId, seq]));
  return new Map(moved.map((one) => [one.id, answerOf(one, seqs.get(one.id) ?? 0)]));
}

function answerOf({ id, bulkAcked, ended }: PlainMoved, seq: number): Answer {
  const outcome = ended === null ? null : { state: COMPLETED, cause: null };
  return { attemptId: id, status: "accepted", rejected: [], controlAcked: seq, bulkAcked, outcome };
}
