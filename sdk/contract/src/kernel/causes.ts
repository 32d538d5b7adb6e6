/** Why a run or attempt ended as it did. Retry policies name them. */
export const CAUSES = {
  error: "The flow threw, or the command exited with a code other than 0.",
  timeout:
    "An attempt exceeded its time limit (`timeoutMs`) and was stopped, or failed because a task of it exceeded its own.",
  "run-timeout":
    "The run as a whole exceeded its time limit (`runTimeoutMs`), retries and suspensions included. It is over: no policy retries it.",
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

/** What whoever is called can do about a run that ended so. Commands stand between backticks. */
const ADVICE: Readonly<Record<Cause, string>> = {
  error:
    "Mend what the error names and `towpath deploy`, then rerun from failure: what was completed is taken over.",
  timeout:
    "See in the log's last lines what it was at when its time was up; raise its `timeoutMs` if that is right.",
  "run-timeout":
    "See in its history where the time went: attempts, waiting for slots or workers, or suspensions; then rerun from failure, or raise its `runTimeoutMs`.",
  oom: "Give it more memory, or let it hold less at once, then rerun from failure.",
  killed: "Look on the worker's machine for who sent the signal: it was not Towpath.",
  evicted: "Nothing: it starts again by itself.",
  lost: "Look whether the worker's machine is up and reaches the control plane. The run can be rerun from failure at once.",
  refused:
    "The reason names the rule of the worker that it broke. `towpath doctor` there checks keys, code registry and pool.",
  expired: "No worker took it in time: see whether workers of its pool are up and have room, then rerun.",
  "journal-full": "Free disk on the worker's machine, then rerun from failure.",
  "invalid-parameters": "Run it again with parameters that its schema allows.",
  user: "Nothing: somebody asked for it.",
};

/** The name of the error of an attempt whose outcome nobody can know, since the database went back. Its cause is `lost`. */
export const OUTCOME_UNKNOWN = "OutcomeUnknown";

/** What can be done where the outcome is unknown: the attempt may have done all of its work. */
const UNKNOWN_ADVICE =
  "See what it has done: `towpath wire RUN` on its worker's machine says what it told. Then rerun from failure.";

/** The next step for a cause: the same words in the API, on the command line and in the dashboard. Null where nobody could tell the cause. */
export function adviceFor(cause: Cause | null, error: { readonly name: string } | null): string | null {
  if (cause === "lost" && error?.name === OUTCOME_UNKNOWN) return UNKNOWN_ADVICE;
  return cause === null ? null : ADVICE[cause];
}

/** Causes that never spend one of a run's retries. */
export const FREE_CAUSES: readonly Cause[] = ["evicted"];

/** Causes that end a run for good, whatever its retry policy says. */
export const LAST_CAUSES: readonly Cause[] = ["run-timeout", "expired", "user"];

/** The names of all causes. */
export const CAUSE_NAMES = Object.keys(CAUSES) as [Cause, ...Cause[]];
