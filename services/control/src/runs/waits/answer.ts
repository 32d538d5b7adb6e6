import { type Json, mayAnswer, Problem, type Wait } from "@towpath/contract";
import { checkAnswer } from "../../deployments/index.ts";
import { cleanJson, type Deps, inTransaction, type Scope, type Tx } from "../../kernel/index.ts";
import { settleWaits } from "./resume.ts";
import { findWaitNow, lockWait, lockWaiting, noteAnswer, type WaitNow } from "./store.ts";
import { waitOf } from "./wire.ts";

/** An answer to a run's question. */
export interface Answering {
  readonly runId: string;
  readonly waitId: string;
  readonly answer: Json;
}

/**
 * Answers a question of a run, once: of racing answers the first counts. The run continues at once, in any state. A run
 * that is about to suspend does not miss the answer.
 * @throws Problem `wait-not-found`; `wait-settled` naming who answered; `forbidden` for a role that may not answer;
 * `invalid-answer` with faults.
 */
export async function answerWait(deps: Deps, scope: Scope, args: Answering): Promise<Wait> {
  const { workspaceId } = scope;
  const name = { workspaceId, runId: args.runId, waitId: args.waitId };
  const asked = questionOf(await findWaitNow(deps.database.db, deps.clock, name), args);
  if (!mayAnswer(scope.role, asked.who)) {
    throw new Problem("forbidden", `This question is for the role "${asked.who}" or above.`);
  }
  await checkAnswer(deps, { workspaceId, schema: asked.schema, answer: args.answer });
  return inTransaction(deps, async (tx) => {
    await lockWaiting(tx, { workspaceId, runIds: [args.runId] });
    questionOf(await lockWait(tx, deps.clock, name), args);
    return settle(tx, deps, { ...args, workspaceId, answeredBy: scope.actor.name });
  });
}

async function settle(
  tx: Tx,
  deps: Deps,
  args: Answering & { workspaceId: string; answeredBy: string },
): Promise<Wait> {
  const { workspaceId, runId, waitId } = args;
  await noteAnswer(tx, deps.clock, {
    workspaceId,
    waitId,
    answer: cleanJson(args.answer),
    answeredBy: args.answeredBy,
    eventId: null,
  });
  const [row] = await settleWaits(tx, deps, { workspaceId, waits: [{ id: waitId, runId, by: "satisfy" }] });
  if (row === undefined) throw noWait(args);
  return waitOf(row);
}

function noWait(args: Answering): Problem {
  return new Problem("wait-not-found", `Run ${args.runId} has no question with the id ${args.waitId}.`);
}

function questionOf(
  row: WaitNow | null,
  args: Answering,
): WaitNow & { readonly who: NonNullable<WaitNow["who"]>; readonly schema: NonNullable<WaitNow["schema"]> } {
  if (row === null || row.who === null || row.schema === null) throw noWait(args);
  if (row.state === "satisfied")
    throw new Problem("wait-settled", `${row.answeredBy ?? "Somebody"} has answered it already.`);
  if (row.state === "cancelled")
    throw new Problem("wait-settled", "The run has been cancelled or has ended.");
  if (row.state === "expired" || (row.leftMs !== null && row.leftMs <= 0))
    throw new Problem("wait-settled", "Its deadline has passed.");
  return { ...row, who: row.who, schema: row.schema };
}
