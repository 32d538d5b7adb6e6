import type { Assignment } from "@towpath/contract";
import type { AssignedAttempt } from "../../runs/index.ts";

/** The most bytes of assignments in one answer. The last assignment may exceed it. */
export const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

/**
 * The first assignments that fit one answer: specs and parameters may be large, and a worker limits the size of an answer.
 * The others stay unconfirmed. The answer to the next poll delivers them.
 */
export function fitting(assignments: Assignment[]): Assignment[] {
  let bytes = 0;
  const end = assignments.findIndex(({ spec, parameters }) => {
    const full = bytes >= ANSWER_BYTES_MAX;
    bytes += spec.length + Buffer.byteLength(JSON.stringify(parameters));
    return full;
  });
  return end === -1 ? assignments : assignments.slice(0, end);
}

/** An assignment as it crosses the wire. The lease is a duration, counted from the worker's request. */
export function assignmentOf(row: AssignedAttempt, leaseMs: number): Assignment {
  const { attemptId, epoch, nonce, runId, ordinal, deployment, version, spec, parameters, trigger } = row;
  return {
    attemptId,
    epoch,
    nonce,
    runId,
    ordinal,
    deployment,
    version,
    spec,
    parameters,
    trigger,
    scheduledAt: row.scheduledAt.toISOString(),
    leaseMs,
    // A hook has a limit of its own.
    ...(typeof row.hookReason === "string"
      ? { endsInMs: null, onlyHook: { reason: row.hookReason } }
      : { endsInMs: row.endsInMs }),
  };
}
