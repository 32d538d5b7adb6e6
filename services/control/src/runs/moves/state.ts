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
import type { PgUpdateSetSource } from "#sql";
import { and, eq, inArray, sql } from "#sql";
import { type Tx, textArray, writeChanges } from "../../kernel/index.ts";
import { type AttemptRow, attempt, type RunRow, run } from "../table.ts";
import { runChange } from "../wire.ts";

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
 * Moves runs along one row of RUN_TRANSITIONS, all alike, and writes the changes of it.
 * Atomic: of any number of racing callers, one wins.
 * @throws Problem `run-transition-not-allowed` (409) if one is not in `from`, or the move does not lead to `to`.
 */
async function transitionRuns(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[]; by: RunTransition; to?: RunState; set?: RunSet },
): Promise<RunRow[]> {
  const first = args.runIds[0];
  if (first === undefined) return [];
  const { from, to } = runMove(first, args.by, args.to);
  const moved = await tx
    .update(run)
    .set({ ...args.set, state: to })
    .where(
      and(
        eq(run.workspaceId, args.workspaceId),
        sql`${run.id} = any(${textArray(args.runIds)}::uuid[])`,
        inArray(run.state, [...from]),
      ),
    )
    .returning()
    .prepare("transition_run")
    .execute();
  if (moved.length < args.runIds.length) throw notAllowed("run", missingOf(args.runIds, moved), args.by);
  await writeChanges(tx, moved.map(runChange));
  return moved;
}

/** Moves one run, as `transitionRuns`. */
export async function transitionRun(
  tx: Tx,
  args: { workspaceId: string; runId: string; by: RunTransition; to?: RunState; set?: RunSet },
): Promise<RunRow> {
  const { runId, ...rest } = args;
  const [moved] = await transitionRuns(tx, { ...rest, runIds: [runId] });
  if (!moved) throw notAllowed("run", runId, args.by);
  return moved;
}

/**
 * Moves attempts along one row of ATTEMPT_TRANSITIONS, all alike. Atomic, as `transitionRuns`; the changes of it is their
 * runs'.
 * @throws Problem `run-transition-not-allowed` (409) if one is not in `from`.
 */
async function transitionAttempts(
  tx: Tx,
  args: { workspaceId: string; attemptIds: readonly string[]; by: AttemptTransition; set?: AttemptSet },
): Promise<AttemptRow[]> {
  const first = args.attemptIds[0];
  if (first === undefined) return [];
  const { from, to } = attemptMove(first, args.by);
  const moved = await tx
    .update(attempt)
    .set({ ...args.set, state: to })
    .where(
      and(
        eq(attempt.workspaceId, args.workspaceId),
        sql`${attempt.id} = any(${textArray(args.attemptIds)}::uuid[])`,
        inArray(attempt.state, [...from]),
      ),
    )
    .returning()
    .prepare("transition_attempt")
    .execute();
  if (moved.length < args.attemptIds.length)
    throw notAllowed("attempt", missingOf(args.attemptIds, moved), args.by);
  return moved;
}

/** Moves one attempt, as `transitionAttempts`. */
export async function transitionAttempt(
  tx: Tx,
  args: { workspaceId: string; attemptId: string; by: AttemptTransition; set?: AttemptSet },
): Promise<AttemptRow> {
  const { attemptId, ...rest } = args;
  const [moved] = await transitionAttempts(tx, { ...rest, attemptIds: [attemptId] });
  if (!moved) throw notAllowed("attempt", attemptId, args.by);
  return moved;
}

function missingOf(ids: readonly string[], moved: readonly { readonly id: string }[]): string {
  return ids.find((id) => !moved.some((row) => row.id === id)) ?? "unknown";
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
