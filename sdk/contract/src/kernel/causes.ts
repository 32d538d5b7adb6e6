/** Why a run or attempt ended as it did. Retry policies name them. */
export const CAUSES = {
  error: "The flow threw an error, or its process or command ended unexpectedly.",
  timeout: "An attempt exceeded its time limit (`timeoutMs`), or one of its tasks exceeded the task's limit.",
  "run-timeout":
    "The run exceeded its total time limit (`runTimeoutMs`), which includes retries and suspensions. It is not retried.",
  oom: "Memory ran out: the operating system killed the process, or its JavaScript heap was full.",
  killed: "A signal killed the process. Neither Towpath nor the operating system's memory killer sent it.",
  evicted:
    "The worker was drained before the run ended, or the process ended before the run's code began. The run starts again and spends no retry.",
  lost: "The worker stopped reporting, or it restarted and no longer has this attempt.",
  refused:
    "The worker refused the run: the spec's signature, key, code or pool breaks the worker's rules, or one of its secrets has no value there.",
  expired: "No worker started the run before its deadline.",
  "journal-full": "The worker's disk has no space for the run's records.",
  "invalid-parameters": "The parameters do not match the flow's schema.",
  user: "Somebody cancelled the run.",
  collision:
    "Another run of its deployment took its slot: the deployment's limit cancels runs (`cancel-new`, `cancel-running`), or the schedule cancels the previous run (`overlap: cancel-running`).",
} as const;

/** One cause. */
export type Cause = keyof typeof CAUSES;

/** The next step for a run that ended with a cause. Commands stand between backticks. */
const ADVICE: Readonly<Record<Cause, string>> = {
  error:
    "Fix the cause. If you changed code, run `towpath deploy`. Then run `towpath rerun RUN --from-failure`: it reuses completed tasks.",
  timeout:
    "Read the last log lines to see what took so long. If the flow needs more time, raise `timeoutMs` (in Python `timeout`) and run `towpath deploy`. Then rerun from failure.",
  "run-timeout":
    "Check in the run's history what took the time: attempts, waits for slots or workers, or suspensions. Then rerun from failure, or raise `runTimeoutMs`.",
  oom: "Give the run more memory, or change the flow to use less. Then rerun from failure.",
  killed:
    "Find out on the worker's machine which process sent the signal: it was not Towpath. Then rerun from failure.",
  evicted: "Nothing to do: the run starts again automatically.",
  lost: "Check that the worker's machine is up and can reach the control plane. You can rerun from failure at once.",
  refused:
    "Read the error: it names the worker's rule or the missing secret. `towpath doctor --config FILE` on the worker's machine checks keys, code registry, pool and secrets. Then rerun.",
  expired: "Check that workers of the pool are online and have free slots. Then rerun.",
  "journal-full": "Free disk space on the worker's machine. Then rerun from failure.",
  "invalid-parameters": "Start the run again with parameters that match the schema.",
  user: "Nothing to do: the run was cancelled on request.",
  collision:
    "Start it again when the other runs have ended, or let runs wait: `towpath limit set DEPLOYMENT SLOTS --kind deployment --collision enqueue`, or `towpath schedule set DEPLOYMENT NAME --overlap wait`.",
};

/** The error of an attempt with an unknown outcome, after the database was restored to an earlier state. Its cause is `lost`. */
export const OUTCOME_UNKNOWN = "OutcomeUnknown";

/** The next step if the outcome is unknown. The attempt may have done all of its work. */
const UNKNOWN_ADVICE =
  "Find out what the attempt did: `towpath wire RUN` on its worker's machine shows what it reported. Then rerun from failure.";

/** The next step if the worker itself stopped the process, so that nobody looks for a signal from elsewhere. */
const STOPPED_ADVICE = "Read the error: the worker itself stopped the process. Then rerun from failure.";

/** A file that a flow (Node) or command (Python) could not open. */
const MISSING_FILE = /\bENOENT: no such file or directory, open\b|\[Errno 2\] No such file or directory/;

/** The end of the worker's sentence about a missing secret, if one command starts the worker and writes its configuration. */
const START_AGAIN = /\bStop `[^`]+`, set .+, and start it again\./;
const START_AGAIN_ADVICE = "Do what the error says. Then run `towpath rerun RUN`.";

/** The next step if a file is missing. A deploy leaves data files out, so a flow may find them only on the author's machine. */
const MISSING_FILE_ADVICE =
  "Check that the file exists on the worker's machine. If the worker separates its runs, name the file's folder in its `flowFolders`. A deploy leaves out data files of the project: to deploy them, name them in `files` in `towpath.config.ts`. Then run `towpath deploy` and `towpath rerun RUN --from-failure`.";

/** The next step for a cause, for the API, the command line and the dashboard. Null if the cause is unknown. */
export function adviceFor(
  cause: Cause | null,
  error: { readonly name: string; readonly message?: string } | null,
): string | null {
  if (cause === "error" && MISSING_FILE.test(error?.message ?? "")) return MISSING_FILE_ADVICE;
  if (cause === "lost" && error?.name === OUTCOME_UNKNOWN) return UNKNOWN_ADVICE;
  if (cause === "killed" && error?.name === "Stopped") return STOPPED_ADVICE;
  if (cause === "refused" && START_AGAIN.test(error?.message ?? "")) return START_AGAIN_ADVICE;
  return cause === null ? null : ADVICE[cause];
}

/** Causes that never spend one of a run's retries. */
export const FREE_CAUSES: readonly Cause[] = ["evicted"];

/** Causes that end a run for good, whatever its retry policy says. */
export const LAST_CAUSES: readonly Cause[] = ["run-timeout", "expired", "user", "collision"];

/** The names of all causes. */
export const CAUSE_NAMES = Object.keys(CAUSES) as [Cause, ...Cause[]];
