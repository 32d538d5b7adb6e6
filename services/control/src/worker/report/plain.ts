import { ATTEMPT_TRANSITIONS, ControlRecord, type Fence, type Reported } from "@towpath/contract";
import { cleanJson, type Deps } from "../../kernel/index.ts";
import { applyPlain } from "../../runs/index.ts";
import { type LooseRecord, lateMsOf, readRecord } from "./records.ts";

/** A worker's report of one attempt. */
interface AttemptReport extends Fence {
  readonly control: readonly LooseRecord[];
  readonly bulk: readonly LooseRecord[];
  readonly sentAt?: string | undefined;
}

/** A start or a completion, for `applyPlain`. */
export type PlainRecord = Parameters<typeof applyPlain>[1]["records"][number];

type Answer = Reported["attempts"][number];

const [COMPLETED] = ATTEMPT_TRANSITIONS.complete.to;

/** The only record of a report, if it says that the attempt has started or completed just now. Null for any other report. */
export function plainRecord(report: AttemptReport, workerId: string): PlainRecord | null {
  const [loose, another] = report.control;
  if (loose === undefined || another !== undefined || report.bulk.length > 0) return null;
  const { attemptId, epoch, nonce } = report;
  const { record } = readRecord(ControlRecord, loose);
  const by = { attemptId, epoch, nonce, workerId, seq: loose.seq };
  if (record?.type === "started")
    return cleanJson({ ...by, starts: true, exitCode: null, lastBulkSeq: null, result: null });
  if (record?.type !== "ended" || record.outcome !== "completed") return null;
  if (lateMsOf(record, report.sentAt) > 0) return null;
  const { exitCode, lastBulkSeq, result = null } = record;
  return cleanJson({ ...by, starts: false, exitCode, lastBulkSeq, result });
}

/**
 * Applies plain records of a workspace's attempts, each named once.
 * @returns the answers, by attempt. A missing attempt needs a full transaction; nothing of it has changed.
 */
export async function answerPlain(
  deps: Deps,
  args: { workspaceId: string; records: readonly PlainRecord[] },
): Promise<Map<string, Answer>> {
  const moved = await applyPlain(deps, args);
  const answers = args.records.flatMap(({ attemptId, seq }): Answer[] => {
    const one = moved.get(attemptId);
    if (one === undefined) return [];
    const outcome = one.hasEnded ? { state: COMPLETED, cause: null } : null;
    const { bulkAcked } = one;
    return [{ attemptId, status: "accepted", rejected: [], controlAcked: seq, bulkAcked, outcome }];
  });
  return new Map(answers.map((answer) => [answer.attemptId, answer]));
}
