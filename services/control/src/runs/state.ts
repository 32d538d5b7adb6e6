import {
  ATTEMPT_TRANSITIONS,
  type AttemptState,
  type AttemptTransition,
  Problem,
  RUN_TRANSITIONS,
  type RunState,
  type RunTransition,
  TASK_RUN_TRANSITIONS,
  type TaskRunState,
  type TaskRunTransition,
  type Transition,
} from "@towpath/contract";
import { and, eq, inArray } from "drizzle-orm";
import type { PgUpdateSetSource } from "drizzle-orm/pg-core";
import { type Tx, writeChanges } from "../kernel/index.ts";
import { type AttemptRow, attempt, type RunRow, run } from "./table.ts";
import { runChange } from "./wire.ts";

type RunSet = Omit<PgUpdateSetSource<typeof run>, "state" | "id" | "workspaceId">;
type AttemptSet = Omit<PgUpdateSetSource<typeof attempt>, "state" | "id" | "workspaceId">;

/** Where a move leads: the only target, or the one of several that the caller decided for. */
function target<State extends string>(move: Transition<State>, to: State | undefined): State | undefined {
  return to === undefined
    ? move.to.length === 1
      ? move.to[0]
      : undefined
    : move.to.find((one) => one === to);
}

/**
 * Moves a run along one row of RUN_TRANSITIONS, and writes the news of it.
 * Atomic: of any number of racing callers, one wins.
 * @throws Problem `run-transition-not-allowed` (409) if the run is not in `from`, or the move does not lead to `to`.
 */
export async function transitionRun(
  tx: Tx,
  a: { workspaceId: string; runId: string; by: RunTransition; to?: RunState; set?: RunSet },
): Promise<RunRow> {
  const move: Transition<RunState> = RUN_TRANSITIONS[a.by];
  const to = target(move, a.to);
  if (to === undefined) throw notAllowed("run", a.runId, a.by);
  const [moved] = await tx
    .update(run)
    .set({ ...a.set, state: to })
    .where(and(eq(run.workspaceId, a.workspaceId), eq(run.id, a.runId), inArray(run.state, [...move.from])))
    .returning()
    .prepare("transition_run")
    .execute();
  if (!moved) throw notAllowed("run", a.runId, a.by);
  await writeChanges(tx, [runChange(moved)]);
  return moved;
}

/**
 * Moves an attempt along one row of ATTEMPT_TRANSITIONS. Atomic, as `transitionRun`; the news of it is its run's.
 * @throws Problem `run-transition-not-allowed` (409) if the attempt is not in `from`.
 */
export async function transitionAttempt(
  tx: Tx,
  a: { workspaceId: string; attemptId: string; by: AttemptTransition; set?: AttemptSet },
): Promise<AttemptRow> {
  const move: Transition<AttemptState> = ATTEMPT_TRANSITIONS[a.by];
  const to = target(move, undefined);
  if (to === undefined) throw notAllowed("attempt", a.attemptId, a.by);
  const [moved] = await tx
    .update(attempt)
    .set({ ...a.set, state: to })
    .where(
      and(
        eq(attempt.workspaceId, a.workspaceId),
        eq(attempt.id, a.attemptId),
        inArray(attempt.state, [...move.from]),
      ),
    )
    .returning()
    .prepare("transition_attempt")
    .execute();
  if (!moved) throw notAllowed("attempt", a.attemptId, a.by);
  return moved;
}

/**
 * Where a move takes a task run in this state, or null if the table has no such move. For callers that hold the lock
 * of its attempt, under which alone task runs are written.
 */
export function taskRunAfter(state: TaskRunState, by: TaskRunTransition): TaskRunState | null {
  const move: Transition<TaskRunState> = TASK_RUN_TRANSITIONS[by];
  return move.from.includes(state) ? (target(move, undefined) ?? null) : null;
}

/** Whether the table lets a run in this state make this move. */
export function runCan(state: RunState, by: RunTransition): boolean {
  const move: Transition<RunState> = RUN_TRANSITIONS[by];
  return move.from.includes(state);
}

/** Whether the table lets an attempt in this state make this move. */
export function attemptCan(state: AttemptState, by: AttemptTransition): boolean {
  const move: Transition<AttemptState> = ATTEMPT_TRANSITIONS[by];
  return move.from.includes(state);
}

/** The refusal of a move that the table does not have. */
export function notAllowed(what: "run" | "attempt" | "task run", id: string, by: string): Problem {
  return new Problem("run-transition-not-allowed", `The ${what} ${id} cannot ${by} now.`);
}
