import type { Command } from "@towpath/contract";
import { type FenceOf, type HeldAttempt, sameFence } from "../../runs/index.ts";

/** What a worker must be told to stop: repeated in every answer until the attempt has ended. */
function cancelCommands(held: readonly HeldAttempt[]): Command[] {
  return held
    .filter((row) => row.state === "cancelling")
    .map((row) => ({ kind: "cancel", attemptId: row.attemptId, reason: row.cancelReason ?? "" }));
}

/** What waits of running flows are over: repeated until the flow has asked for each. */
function answersCommands(held: readonly HeldAttempt[]): Command[] {
  return held.flatMap(({ attemptId, answers }): Command[] =>
    answers === null ? [] : [{ kind: "answers", attemptId, paths: [...answers] }],
  );
}

/** Everything that a worker must be told about what it holds. */
export function heldCommands(held: readonly HeldAttempt[]): Command[] {
  return [...cancelCommands(held), ...answersCommands(held)];
}

/** What a worker believes to hold, but does not: it must stop the process and report nothing. */
export function abandonCommands(claimed: readonly FenceOf[], held: readonly HeldAttempt[]): Command[] {
  const current = new Map(held.map((row) => [row.attemptId, row]));
  return claimed
    .filter((fence) => {
      const row = current.get(fence.attemptId);
      return row === undefined || !sameFence(row, fence);
    })
    .map(({ attemptId }) => ({
      kind: "abandon",
      attemptId,
      reason: "The attempt has ended, or belongs to another claim.",
    }));
}
