import type { Cause, RunFailure } from "@towpath/contract";

/** What whoever is called can do about a run that ended so. */
const ADVICE: Readonly<Record<Cause, string>> = {
  error: "Mend it at the marked frame and deploy, then rerun from failure: what was completed is taken over.",
  timeout:
    "See in the log's last lines what it was at when its time was up; raise its time limit if that is right.",
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

/** The next step for a cause; null where nobody could tell the cause. */
export function adviceFor(cause: Cause | null): string | null {
  return cause === null ? null : ADVICE[cause];
}

/** What is known of the time before a failure, as sentences that end in what to look at. */
export function historyOf(
  a: Pick<RunFailure, "lastCompleted" | "failingSince"> & { version: number },
): string {
  if (a.lastCompleted === null) return "No earlier run of this deployment completed.";
  const other = a.lastCompleted.version !== a.version;
  const code = other
    ? `That was version ${a.lastCompleted.version}, this is ${a.version}: see what changed.`
    : "The code is the same: look at its input and surroundings.";
  return a.failingSince === null ? `This is the first failure since. ${code}` : code;
}
