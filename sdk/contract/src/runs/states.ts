/** The states of a run. Everything else said about a run (late, disconnected) is derived, not stored. */
export const RUN_STATES = [
  "scheduled",
  "blocked",
  "ready",
  "claimed",
  "running",
  "suspended",
  "cancelling",
  "completed",
  "failed",
  "crashed",
  "cancelled",
] as const;

/** One state of a run. */
export type RunState = (typeof RUN_STATES)[number];

/** The states of an attempt: one admission of a run to execution, which ends once. */
export const ATTEMPT_STATES = [
  "ready",
  "claimed",
  "running",
  "cancelling",
  "suspended",
  "completed",
  "failed",
  "crashed",
  "cancelled",
] as const;

/** One state of an attempt. */
export type AttemptState = (typeof ATTEMPT_STATES)[number];

/**
 * The states of a task run: one task call in a run. `retrying` waits for its next try. `suspended` runs in another pool
 * while the attempt that called it has ended.
 */
export const TASK_RUN_STATES = [
  "pending",
  "running",
  "retrying",
  "suspended",
  "completed",
  "failed",
  "crashed",
  "cancelled",
] as const;

/** One state of a task run. */
export type TaskRunState = (typeof TASK_RUN_STATES)[number];

/** One row of a state table: from any of `from`, to exactly one of `to`. */
export interface Transition<State extends string> {
  readonly from: readonly State[];
  readonly to: readonly State[];
}

/**
 * Every move a run can make. Server guards, the diagram, the dashboard's buttons and the model test derive from it.
 *
 * `cancel` ends a run without a process. `interrupt` asks a process to stop. `refuse` is a worker that does not accept the
 * spec (bad signature, untrusted key), so the run never starts. `reassign` is not used yet. It is for launchers whose job
 * outlives the worker.
 */
export const RUN_TRANSITIONS = {
  due: { from: ["scheduled"], to: ["ready", "blocked"] },
  admit: { from: ["blocked"], to: ["ready"] },
  claim: { from: ["ready"], to: ["claimed"] },
  release: { from: ["claimed"], to: ["ready"] },
  start: { from: ["claimed"], to: ["running"] },
  refuse: { from: ["claimed"], to: ["failed"] },
  suspend: { from: ["running"], to: ["suspended", "ready", "blocked"] },
  resume: { from: ["suspended"], to: ["ready", "blocked"] },
  reassign: { from: ["running"], to: ["ready"] },
  retry: { from: ["running"], to: ["scheduled"] },
  complete: { from: ["running", "cancelling"], to: ["completed"] },
  fail: { from: ["running"], to: ["failed"] },
  lose: { from: ["running"], to: ["crashed", "scheduled"] },
  expire: { from: ["scheduled", "blocked", "ready", "suspended"], to: ["failed"] },
  cancel: { from: ["scheduled", "blocked", "ready", "suspended"], to: ["cancelled", "cancelling"] },
  interrupt: { from: ["claimed", "running"], to: ["cancelling"] },
  settle: { from: ["cancelling"], to: ["cancelled"] },
} as const satisfies Record<string, Transition<RunState>>;

/** The name of one move of a run. */
export type RunTransition = keyof typeof RUN_TRANSITIONS;

/** Every move of an attempt. An attempt whose run is retried ends `failed` or `crashed`; the run continues. */
export const ATTEMPT_TRANSITIONS = {
  claim: { from: ["ready"], to: ["claimed"] },
  release: { from: ["claimed"], to: ["ready"] },
  start: { from: ["claimed"], to: ["running"] },
  refuse: { from: ["claimed"], to: ["failed"] },
  suspend: { from: ["running"], to: ["suspended"] },
  reassign: { from: ["running"], to: ["ready"] },
  complete: { from: ["running", "cancelling"], to: ["completed"] },
  fail: { from: ["running"], to: ["failed"] },
  lose: { from: ["running"], to: ["crashed"] },
  expire: { from: ["ready"], to: ["failed"] },
  cancel: { from: ["ready"], to: ["cancelled"] },
  interrupt: { from: ["claimed", "running"], to: ["cancelling"] },
  settle: { from: ["cancelling"], to: ["cancelled"] },
} as const satisfies Record<string, Transition<AttemptState>>;

/** The name of one move of an attempt. */
export type AttemptTransition = keyof typeof ATTEMPT_TRANSITIONS;

/** Every move of a task run. `reuse` takes an earlier result instead of running. */
export const TASK_RUN_TRANSITIONS = {
  begin: { from: ["pending", "retrying"], to: ["running"] },
  reuse: { from: ["pending"], to: ["completed"] },
  retry: { from: ["running"], to: ["retrying"] },
  complete: { from: ["running"], to: ["completed"] },
  fail: { from: ["pending", "running", "retrying"], to: ["failed"] },
  suspend: { from: ["pending", "running", "retrying"], to: ["suspended"] },
  lose: { from: ["pending", "running", "retrying"], to: ["crashed"] },
  cancel: { from: ["pending", "running", "retrying"], to: ["cancelled"] },
} as const satisfies Record<string, Transition<TaskRunState>>;

/** The name of one move of a task run. */
export type TaskRunTransition = keyof typeof TASK_RUN_TRANSITIONS;

/** The states of an external job: work that a run has submitted to another system. */
export const JOB_STATES = ["intended", "submitted", "ended", "cancelling", "cancelled", "left"] as const;

/** One state of an external job. */
export type JobState = (typeof JOB_STATES)[number];

/**
 * Every move of an external job. `end` is what a poll or a callback says, even of one whose handle is not known yet, or that
 * was to be cancelled; `cancel` is wanted when nobody waits for it any more; `leave` lets it run on where nothing can cancel it,
 * or cancelling it took too long.
 */
export const JOB_TRANSITIONS = {
  submit: { from: ["intended"], to: ["submitted"] },
  end: { from: ["intended", "submitted", "cancelling"], to: ["ended"] },
  cancel: { from: ["intended", "submitted"], to: ["cancelling"] },
  settle: { from: ["cancelling"], to: ["cancelled"] },
  leave: { from: ["intended", "submitted", "cancelling"], to: ["left"] },
} as const satisfies Record<string, Transition<JobState>>;

/** The name of one move of an external job. */
export type JobTransition = keyof typeof JOB_TRANSITIONS;

/** The states that no move leaves, derived from the table. */
export function finalStates<State extends string>(
  states: readonly State[],
  table: Record<string, Transition<State>>,
): readonly State[] {
  const left = new Set(Object.values(table).flatMap((move) => move.from));
  return states.filter((state) => !left.has(state));
}

/** The final states of a run. */
export const FINAL_RUN_STATES: readonly RunState[] = finalStates(RUN_STATES, RUN_TRANSITIONS);

/** The final states of an attempt. A suspended attempt has ended; the run resumes in a new one. */
export const FINAL_ATTEMPT_STATES: readonly AttemptState[] = finalStates(ATTEMPT_STATES, ATTEMPT_TRANSITIONS);

/** The final states of a task run. */
export const FINAL_TASK_RUN_STATES: readonly TaskRunState[] = finalStates(
  TASK_RUN_STATES,
  TASK_RUN_TRANSITIONS,
);

/** The final states of an external job. */
export const FINAL_JOB_STATES: readonly JobState[] = finalStates(JOB_STATES, JOB_TRANSITIONS);

/** Whether a run in this state has ended for good. */
export function isFinalRunState(state: RunState): boolean {
  return FINAL_RUN_STATES.includes(state);
}

/** Whether a person may cancel a run in this state: derived from `cancel` and `interrupt`. */
export function isCancellable(state: RunState): boolean {
  const from: readonly RunState[] = [...RUN_TRANSITIONS.cancel.from, ...RUN_TRANSITIONS.interrupt.from];
  return from.includes(state);
}
