import { ControlRecord, type Fence, type Reported } from "@towpath/contract";
import { cleanJson, type Deps } from "../../kernel/index.ts";
import { storeNewCalls } from "../../runs/index.ts";
import { type LooseRecord, nextInSequence, readRecord } from "./records.ts";

/** One worker's report of one attempt. */
interface OwnReport {
  readonly workspaceId: string;
  readonly workerId: string;
  readonly report: Fence & {
    readonly control: readonly LooseRecord[];
    readonly bulk: readonly LooseRecord[];
  };
}

type TaskMove = Extract<ControlRecord, { type: "task" }>;

/** The moves of tasks in a report, in order, if it has nothing else. */
function taskMovesIn({ control, bulk }: OwnReport["report"]): TaskMove[] {
  const firstSeq = Math.min(...control.map(({ seq }) => seq));
  const moves = nextInSequence(control, firstSeq - 1)
    .map(taskMoveOf)
    .filter((move) => move !== null);
  return bulk.length > 0 || moves.length < control.length ? [] : moves;
}

function taskMoveOf(loose: LooseRecord): TaskMove | null {
  const { record } = readRecord(ControlRecord, loose);
  return record?.type === "task" ? cleanJson(record) : null;
}

/**
 * Stores a report that has only new task calls, as `storeNewCalls`.
 * @returns null if the report has other records, or does not continue the attempt's sequence. Nothing is stored then.
 */
export async function answerNewCalls(
  deps: Deps,
  { workspaceId, workerId, report }: OwnReport,
): Promise<Reported["attempts"][number] | null> {
  const moves = taskMovesIn(report);
  const controlAcked = moves.at(-1)?.seq;
  if (controlAcked === undefined) return null;
  const { attemptId, epoch, nonce } = report;
  const fence = { attemptId, epoch, nonce, workerId };
  const bulkAcked = await storeNewCalls(deps, { workspaceId, fence, moves });
  if (bulkAcked === null) return null;
  return { attemptId, status: "accepted", controlAcked, bulkAcked, rejected: [], outcome: null };
}
