import { type Command, type Fence, sameFence } from "@towpath/contract";
import type { HeldAttempt } from "../../runs/index.ts";

/** Commands to cancel attempts. Every answer repeats them until the attempt has ended. */
function cancelCommands(held: readonly HeldAttempt[]): Command[] {
  return held
    .filter((row) => row.state === "cancelling" && !row.onlyHook)
    .map((row) => ({ kind: "cancel", attemptId: row.attemptId, reason: row.cancelReason ?? "" }));
}

/** Commands with the satisfied waits of running flows. Answers repeat them until the flow has asked for each. */
function answersCommands(held: readonly HeldAttempt[]): Command[] {
  return held.flatMap(({ attemptId, answers }): Command[] =>
    answers === null ? [] : [{ kind: "answers", attemptId, paths: [...answers] }],
  );
}

/** All commands for the attempts that a worker holds. */
export function heldCommands(held: readonly HeldAttempt[]): Command[] {
  return [...cancelCommands(held), ...answersCommands(held)];
}

/** Commands for attempts that a worker wrongly believes to hold. It must stop their processes and report nothing. */
export function abandonCommands(claimed: readonly Fence[], held: readonly HeldAttempt[]): Command[] {
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
