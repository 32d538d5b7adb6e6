import {
  ATTEMPT_TRANSITIONS,
  type AttemptState,
  type AttemptTransition,
  isFinalRunState,
  Problem,
  RUN_TRANSITIONS,
  type RunState,
  type RunTransition,
  TASK_RUN_TRANSITIONS,
  type TaskRunState,
  type TaskRunTransition,
  type Transition,
} from "@towpath/contract";
import { type SQL, sql } from "#sql";

/** The target of a move: the only one, or the one of several that the caller chose. */
function target<State extends string>(move: Transition<State>, to: State | undefined): State | undefined {
  return to === undefined
    ? move.to.length === 1
      ? move.to[0]
      : undefined
    : move.to.find((one) => one === to);
}

/** One row of a table of moves, as a guard and a target for SQL. */
export interface Move<State> {
  readonly from: readonly State[];
  readonly to: State;
}

/**
 * A run's move by RUN_TRANSITIONS.
 * @throws Problem `run-transition-not-allowed` if the move does not lead to `to`.
 */
export function runMove(runId: string, by: RunTransition, to?: RunState): Move<RunState> {
  const move: Transition<RunState> = RUN_TRANSITIONS[by];
  const where = target(move, to);
  if (where === undefined) throw notAllowed("run", runId, by);
  return { from: move.from, to: where };
}

/** An attempt's move by ATTEMPT_TRANSITIONS. */
export function attemptMove(attemptId: string, by: AttemptTransition): Move<AttemptState> {
  const move: Transition<AttemptState> = ATTEMPT_TRANSITIONS[by];
  const where = target(move, undefined);
  if (where === undefined) throw notAllowed("attempt", attemptId, by);
  return { from: move.from, to: where };
}

/**
 * A move's guard and target as SQL, for statements that make one move only. As parameters they would hide partial
 * indexes from the planner, so they are part of the text.
 */
export function literals({ from, to }: Transition<string>): { readonly from: SQL; readonly to: SQL } {
  const quoted = (state: string) => `'${state}'`;
  return { from: sql.raw(`(${from.map(quoted).join(", ")})`), to: sql.raw(quoted(to[0] ?? "")) };
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

/** Whether a run has ended for good. */
export function hasEnded({ state }: { readonly state: RunState }): boolean {
  return isFinalRunState(state);
}

/** The refusal of a move that the table does not have. */
export function notAllowed(what: "run" | "attempt" | "task run", id: string, by: string): Problem {
  return new Problem("run-transition-not-allowed", `The ${what} ${id} cannot ${by} now.`);
}
