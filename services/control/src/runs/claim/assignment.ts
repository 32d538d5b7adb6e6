import type { Assignment } from "@towpath/contract";
import type { AssignedAttempt } from "../store/claim.ts";

/** An assignment as it crosses the wire. The lease is a duration, counted from the worker's request. */
export function assignmentOf(row: AssignedAttempt, leaseMs: number): Assignment {
  const { attemptId, epoch, nonce, runId, ordinal, deployment, version, spec, parameters, trigger } = row;
  return {
    ...{ attemptId, epoch, nonce, runId, ordinal, deployment, version, spec, parameters, trigger },
    scheduledAt: row.scheduledAt.toISOString(),
    leaseMs,
  };
}
