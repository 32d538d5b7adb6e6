import { failureStands } from "@towpath/contract";
import type { Queryable } from "../../kernel/index.ts";
import type { TaskRunRow } from "../table.ts";
import { listAttemptStates } from "./checkpoints-store.ts";

/** Tells of some rows, of attempts that have ended, which are failures whose errors later attempts throw again. */
export async function standingIn(
  from: Queryable,
  workspaceId: string,
  rows: readonly TaskRunRow[],
): Promise<(row: TaskRunRow) => boolean> {
  const unknown = rows.filter(({ state, fatal }) => state === "failed" && fatal === null);
  const attemptIds = [...new Set(unknown.map(({ attemptId }) => attemptId))];
  const states =
    attemptIds.length === 0 ? new Map() : await listAttemptStates(from, { workspaceId, attemptIds });
  return (row) => failureStands(row, states.get(row.attemptId));
}
