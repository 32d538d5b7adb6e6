import { sql } from "#sql";
import { insertAll, type Tx } from "../../kernel/index.ts";
import { attemptHistory, runHistory, runKey, taskRunHistory } from "../table.ts";

/** Rows of runs that have ended, with all that belongs to them. */
export interface EndedRows {
  readonly runs: readonly (typeof runHistory.$inferInsert)[];
  readonly attempts: readonly (typeof attemptHistory.$inferInsert)[];
  readonly tasks: readonly (typeof taskRunHistory.$inferInsert)[];
  readonly keys: readonly (typeof runKey.$inferInsert)[];
}

/** Writes runs that have ended straight into history: a statement for each table. */
export async function insertEnded(tx: Tx, rows: EndedRows): Promise<void> {
  await insertAll(tx, runKey, rows.keys);
  await insertAll(tx, runHistory, rows.runs);
  await insertAll(tx, attemptHistory, rows.attempts);
  await insertAll(tx, taskRunHistory, rows.tasks);
}

/** Lets the planner know of many rows that came at once. */
export async function analyzeHistory(tx: Tx): Promise<void> {
  await tx.execute(sql`analyze run_history, attempt_history, task_run_history, run_key`);
}
