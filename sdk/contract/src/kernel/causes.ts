/** Why a run or attempt ended as it did. Retry policies name them. */
export const CAUSES = {
  error: "The flow threw, or the command exited with a code other than 0.",
  timeout:
    "The run exceeded its time limit and was stopped, or failed because a task of it exceeded its own.",
  oom: "The operating system killed the process for want of memory.",
  killed: "A signal ended the process, sent by neither Towpath nor the memory killer.",
  evicted:
    "The worker was drained before the run had finished, or its process ended before any code of the run began. It starts again without spending a retry.",
  lost: "The worker stopped reporting, or came back without this attempt.",
  refused:
    "The worker would not run the spec: its signature, key, code or pool does not satisfy the worker's own rules.",
  expired: "The run was not started before its deadline.",
  "journal-full": "The worker could not keep the run's records on its disk.",
  "invalid-parameters": "The parameters do not satisfy the flow's schema.",
  user: "Somebody cancelled it.",
} as const;

/** One of the closed list of causes. */
export type Cause = keyof typeof CAUSES;

/** Causes that never spend one of a run's retries. */
export const FREE_CAUSES: readonly Cause[] = ["evicted"];

/** The names of all causes. */
export const CAUSE_NAMES = Object.keys(CAUSES) as [Cause, ...Cause[]];
